"""Everything that can happen to a call, in past tense.

An event is a frozen fact with the instant it was seen (`at`, microseconds UTC) and the row id of
its call. Where an event comes from Asterisk, `ari.translate` has already turned ARI's words into
these; where it is the answer to one of our commands, it carries that command.
"""

from dataclasses import dataclass
from enum import StrEnum

from ari_app.core.commands import Command, LegId

MICROSECONDS = 1_000_000


def after(at: int, seconds: float) -> int:
    """The instant `seconds` after `at`, both instants in microseconds UTC."""
    return at + round(seconds * MICROSECONDS)


class LegEnd(StrEnum):
    """How a leg ended, as its phone told us; what that means depends on whether it had rung."""

    REFUSED = "refused"  # SIP 486, 600, 603: the Reject button, or busy
    SILENT = "silent"  # SIP 480, 408
    FORWARDED = "forwarded"  # SIP 302: the phone forwards its calls, which we never follow
    FAILED = "failed"  # any other failure: unregistered, 404, 488, 5xx
    HUNG_UP = "hung up"  # a normal end, the phone's or ours
    LOST = "lost"  # gone while we were away, or after its answer went unheard


@dataclass(frozen=True, slots=True)
class CallArrived:
    """A caller entered the Stasis app; `dialled` is what the trunk delivered, `number` is E.164."""

    at: int
    call: int
    channel: str
    dialled: str
    number: str
    caller_number: str
    caller_name: str


@dataclass(frozen=True, slots=True)
class CallerLeft:
    """The caller's channel is no longer ours: hung up, or went on in the dialplan as told."""

    at: int
    call: int


@dataclass(frozen=True, slots=True)
class Target:
    """One device to ring, in an offer."""

    device: int
    endpoint: str
    confirm: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """This call rings this agent now, on all of the agent's devices."""

    agent: int
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a candidate was, or was not, offered the call."""

    agent: int
    name: str
    says: str


@dataclass(frozen=True, slots=True)
class Offered:
    """The matcher gives this call to these agents, who are reserved for it from here on."""

    at: int
    call: int
    offers: tuple[Offer, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class RoundOver:
    """Everybody who could be rung was rung once; the next round begins after `retry_s`."""

    at: int
    call: int
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class NobodyFree:
    """No member can be rung and waiting would not change it: on to the number's fallback."""

    at: int
    call: int
    all_declined: bool
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class LegRang:
    """The phone answered our INVITE with a 180."""

    at: int
    call: int
    leg: LegId


@dataclass(frozen=True, slots=True)
class LegAnswered:
    """The phone, or a mobile's voicemail, picked up."""

    at: int
    call: int
    leg: LegId


@dataclass(frozen=True, slots=True)
class LegDigit:
    """The agent pressed a key on an answered leg."""

    at: int
    call: int
    leg: LegId
    digit: str


@dataclass(frozen=True, slots=True)
class LegEnded:
    """The leg's channel is gone, or never came to be."""

    at: int
    call: int
    leg: LegId
    end: LegEnd


@dataclass(frozen=True, slots=True)
class JoinedTalk:
    """The caller (`leg` is None) or the leg is in the talk bridge: seen, not just asked for."""

    at: int
    call: int
    leg: LegId | None


@dataclass(frozen=True, slots=True)
class TalkFailed:
    """The attempt to bring them together that would end at `until_at` has failed."""

    at: int
    call: int
    until_at: int


@dataclass(frozen=True, slots=True)
class GuardFailed:
    """The caller's timeout may still be armed, and would cut a talk."""

    at: int
    call: int


@dataclass(frozen=True, slots=True)
class PhoneBack:
    """A phone of an agent who was busy, or could not be reached, for this call can be rung."""

    at: int
    call: int
    agent: int


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """`wake_at` of the call has come."""

    at: int
    call: int


@dataclass(frozen=True, slots=True)
class CommandDone:
    """Asterisk accepted the command; `gone` if what it was about no longer exists."""

    at: int
    call: int
    command: Command
    gone: bool


@dataclass(frozen=True, slots=True)
class CommandFailed:
    """Asterisk refused the command; `unknown` if it may have taken effect all the same."""

    at: int
    call: int
    command: Command
    unknown: bool
    why: str


@dataclass(frozen=True, slots=True)
class PhoneFree:
    """A phone can be rung: it registered, or its other call is over. Not about any call."""

    at: int
    endpoint: str


@dataclass(frozen=True, slots=True)
class AgentRested:
    """The agent's back-off is over: calls that wait may be offered. Not about any call."""

    at: int
    agent: int


Event = (
    CallArrived
    | CallerLeft
    | Offered
    | RoundOver
    | NobodyFree
    | LegRang
    | LegAnswered
    | LegDigit
    | LegEnded
    | JoinedTalk
    | TalkFailed
    | GuardFailed
    | PhoneBack
    | DeadlineReached
    | CommandDone
    | CommandFailed
)
