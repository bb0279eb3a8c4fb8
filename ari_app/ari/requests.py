"""Commands as HTTP requests: a pure table, and what the answers to each mean.

Contract: `request(command, app)` gives the one request that carries the command out, and
`outcome(request, status)` what its answer says. Paths, methods and parameters are checked against
the running Asterisk's rest-api/*.json (tests/ari/test_contract.py), and the meaning of statuses
on a running Asterisk 22.10.1 (tests/e2e/test_ari_edge.py). Nothing here does I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from ari_app.ari import clean
from ari_app.ari.ids import leg_channel, talk_bridge
from ari_app.ari.translate import LEG_ARG
from ari_app.core import commands
from ari_app.core.commands import HangUpReason

UNKNOWN: Final = 0  # no answer: it may or may not have taken effect
UNSENT: Final = -1  # no connection: Asterisk never saw it

# An empty dialplan context. A phone's 302 would otherwise come back as a new inbound call; it must
# be on every originate (asterisk-probes.md section 4).
NO_FORWARD_CONTEXT: Final = "no-forward"

Json = Mapping[str, object]


class Outcome(StrEnum):
    """What an answer means for the command."""

    DONE = "done"  # it took effect, now or before
    GONE = "gone"  # what it was about no longer exists
    FAILED = "failed"  # it did not take effect
    UNKNOWN = "unknown"  # it may have taken effect


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` is below /ari and already percent-encoded; `query` is not.

    Statuses in `gone`: what it was about no longer exists; in `done`: it is so already. `lives_at`
    is the path that exists if a 409 is true.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Json | None = None
    gone: frozenset[int] = field(default=frozenset())
    done: frozenset[int] = field(default=frozenset())
    lives_at: str = ""


def outcome(request: Request, status: int) -> Outcome:
    """What `status` (HTTP's, UNKNOWN or UNSENT) says about the request."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES or status in request.done:
        return Outcome.DONE
    if status in request.gone:
        return Outcome.GONE
    return Outcome.UNKNOWN if status == UNKNOWN else Outcome.FAILED


# A channel that hung up is 404; one that is just leaving Stasis 409, or 412 by its state.
_CHANNEL_GONE: Final = frozenset({404, 409, 412})
# DELETE answers 404 alone.
_DELETE_GONE: Final = frozenset({404})
# addChannel: 400 a channel hung up, 404 the bridge is gone, 422 a channel left Stasis. Its 409
# (recording) is none of these.
_JOIN_GONE: Final = frozenset({400, 404, 422})
# Ids of channels and bridges are ours and of fixed length: 409 means that ours already lives. (For
# channels only if `lives_at` confirms it: see AriClient.send.)
_OURS_LIVES: Final = frozenset({409})

_REASONS: Final = {
    HangUpReason.NORMAL: "normal",
    HangUpReason.ELSEWHERE: "answered_elsewhere",
    HangUpReason.NO_ANSWER: "no_answer",
}


def request(command: commands.Command, app: str) -> Request:  # noqa: C901, PLR0911 - a table
    """The request that carries out `command` in Stasis application `app`.

    ValueError for an endpoint that is not exactly PJSIP/name, or ids out of bounds.
    """
    match command:
        case commands.RingBack():
            return _on_channel("POST", command.channel, "/ring", gone=_CHANNEL_GONE)
        case commands.Guard():
            query = (("variable", "TIMEOUT(absolute)"), ("value", str(command.after_s)))
            return _on_channel("POST", command.channel, "/variable", query, _CHANNEL_GONE)
        case commands.Ring():
            return _ring(command, app)
        case commands.HangUpLeg():
            return _hang_up(leg_channel(command.leg), command.reason)
        case commands.AnswerCaller():
            return _on_channel("POST", command.channel, "/answer", gone=_CHANNEL_GONE)
        case commands.MakeTalk():
            query = (("type", "mixing"), ("bridgeId", talk_bridge(command.call)))
            return Request("POST", "/bridges", query, done=_OURS_LIVES)
        case commands.JoinTalk():
            return _join(command)
        case commands.EndTalk():
            return Request("DELETE", f"/bridges/{talk_bridge(command.call)}", gone=_DELETE_GONE)
        case commands.HangUpCaller():
            return _hang_up(command.channel, command.reason)
        case commands.LeaveTo():
            return _leave(command)


def _on_channel(
    method: str,
    channel: str,
    action: str,
    query: tuple[tuple[str, str], ...] = (),
    gone: frozenset[int] = frozenset(),
) -> Request:
    return Request(method, f"/channels/{quote(channel, safe='')}{action}", query, gone=gone)


def _hang_up(channel: str, reason: HangUpReason) -> Request:
    return _on_channel("DELETE", channel, "", (("reason", _REASONS[reason]),), _DELETE_GONE)


def _leave(command: commands.LeaveTo) -> Request:
    query = (("context", command.context), ("extension", command.extension), ("priority", "1"))
    return _on_channel("POST", command.channel, "/continue", query, _CHANNEL_GONE)


def _ring(command: commands.Ring, app: str) -> Request:
    channel = leg_channel(command.leg)
    query = (
        ("endpoint", clean.endpoint(command.endpoint)),
        ("app", app),
        ("appArgs", LEG_ARG),
        ("channelId", channel),
        ("callerId", caller_id(command.caller_name, command.caller_number)),
        ("timeout", str(command.timeout_s)),
    )
    body = {"variables": {"FORWARD_CONTEXT": NO_FORWARD_CONTEXT}}
    lives_at = f"/channels/{channel}"
    return Request("POST", "/channels", query, body, done=_OURS_LIVES, lives_at=lives_at)


def caller_id(name: str, number: str) -> str:
    """`"name" <number>` as Asterisk parses it; both are cleaned again, whoever built them.

    Without a number Asterisk would show its own name, "asterisk", as the caller's.
    """
    number = clean.number(number)
    return f'"{clean.name(name) or (number or "Anonymous")}" <{number or "anonymous"}>'


def _join(command: commands.JoinTalk) -> Request:
    query = (
        ("channel", f"{command.channel},{leg_channel(command.leg)}"),
        # The agent's own number is never shown to the caller (design.md section 9).
        ("inhibitConnectedLineUpdates", "true"),
    )
    path = f"/bridges/{talk_bridge(command.call)}/addChannel"
    return Request("POST", path, query, gone=_JOIN_GONE)
