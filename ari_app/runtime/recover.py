"""What a controller does before it decides anything: look at what Asterisk holds of ours.

Used at a start and after each reconnect. The commands that a killed controller left unanswered are
finished here by their own rule; everything else is `core.reconcile`'s.
"""

from collections.abc import Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass

from ari_app.ari import observe as edge
from ari_app.ari import wire
from ari_app.ari.ids import leg_channel, parse_leg, parse_talk
from ari_app.ari.translate import Translator
from ari_app.core.call import Call, Leg, Stage, live_legs
from ari_app.core.commands import LegId, Repeat, Ring
from ari_app.core.events import CallArrived, CommandDone, CommandFailed
from ari_app.core.reconcile import Seen
from ari_app.runtime.happenings import Answered
from ari_app.store.store import Sent

_STAGES = {"Up": Stage.ANSWERED, "Ringing": Stage.RANG}


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What becomes of commands without an answer: sent again, or answered by what was seen."""

    again: tuple[Sent, ...]
    answers: tuple[Answered, ...]


def seen_from(
    observed: edge.Observed,
    since_at: int,
    at: int,
    on_their_way: frozenset[LegId] = frozenset(),
) -> Seen:
    """What was observed, in the core's words."""
    legs = {
        leg: _STAGES.get(channel.state, Stage.DIALLED)
        for channel in observed.channels.values()
        if (leg := parse_leg(channel.id)) is not None
    }
    callers = frozenset(
        channel.id
        for channel in observed.channels.values()
        if channel.in_app and parse_leg(channel.id) is None
    )
    talks = {
        call: frozenset(parse_leg(channel) for channel in channels)
        for bridge, channels in observed.bridges.items()
        if (call := parse_talk(bridge)) is not None
    }
    return Seen(at, since_at, callers, legs, talks, on_their_way)


def adopt(
    observed: edge.Observed,
    translator: Translator,
    app: str,
    at: int,
    left: Collection[str] = (),
) -> list[CallArrived]:
    """Callers in our app that we never heard of: their StasisStart went to a dead socket.

    `left`: who left while we looked; the observation may show them still, and they are no calls.
    """
    arrived = []
    for channel in observed.channels.values():
        if not channel.in_app or parse_leg(channel.id) is not None or channel.id in left:
            continue
        start = wire.StasisStart(
            application=app,
            args=list(channel.args),
            channel=wire.Channel(channel.id, channel.state, channel.caller),
        )
        event = translator.translate(start, at)
        if isinstance(event, CallArrived):
            arrived.append(event)
    return arrived


def forget_gone(
    callers: MutableMapping[str, int], observed: edge.Observed, young_from: int
) -> None:
    """Strike out the callers whose leaving we missed: their channel may come to us anew.

    Calls from `young_from` on came while we looked, and may be missing in what we saw.
    """
    for channel, id_ in list(callers.items()):
        seen = observed.channels.get(channel)
        if id_ < young_from and (seen is None or not seen.in_app):
            del callers[channel]


def unfinished(
    sent: Iterable[Sent],
    calls: Mapping[int, Call],
    seen: Seen,
    at: int,
    left: Collection[str] = (),
) -> Unfinished:
    """Decide each unanswered command of the controller before us.

    `left`: channels whose end we have heard; a leg that ended is not rung again.
    """
    again: list[Sent] = []
    answers: list[Answered] = []
    for each in sent:
        command = each.command
        if command.repeat is Repeat.SAFE or (
            isinstance(command, Ring)
            and leg_channel(command.leg) not in left
            and _worth_ringing(command, calls.get(command.call), seen, at)
        ):
            again.append(each)
        elif isinstance(command, Ring) and command.leg in seen.legs:
            answers.append(Answered(each.id, CommandDone(at, command.call, command, gone=False)))
        else:
            failed = CommandFailed(at, command.call, command, unknown=False, why="not sent again")
            answers.append(Answered(each.id, failed))
    return Unfinished(tuple(again), tuple(answers))


def _worth_ringing(command: Ring, call: Call | None, seen: Seen, at: int) -> bool:
    """Nothing rings, it is still wanted, in time, and the caller is still there."""
    if call is None or call.channel not in seen.callers or command.leg in seen.legs:
        return False
    leg: Leg | None = next((leg for leg in live_legs(call) if leg.id == command.leg), None)
    return leg is not None and leg.until_at > at
