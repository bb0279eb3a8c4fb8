"""What a call is: who called whom, where it stands, and the legs that ring for it.

`place` is the phase; each is a small type that holds only what is valid there, in call order
below. `closing` holds the legs we told to hang up and whose end we have not seen yet, whatever the
place: their agents are not free before that. Deadlines are fields; `wake_at` is the earliest.
"""

from dataclasses import dataclass
from enum import StrEnum

from ari_app.core.agent import Outcome
from ari_app.core.commands import LegId
from ari_app.core.plan import Exit

CONNECT_S = 5  # from the agent's answer until both are seen in the bridge
CLOSE_S = 10  # from a hang-up we asked for until we ask again


class Stage(StrEnum):
    """How far a leg has come."""

    DIALLED = "dialled"
    RANG = "rang"
    ANSWERED = "answered"  # picked up, but the agent has yet to press 1
    ENDED = "ended"  # kept until the agent's other devices have ended as well


@dataclass(frozen=True, slots=True)
class Leg:
    """One channel to one device. `outcome` is set once it has ended."""

    id: LegId
    agent: int
    confirm: bool
    dialled_at: int
    until_at: int
    stage: Stage = Stage.DIALLED
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """A leg that was told to hang up; it is told again at `again_at`."""

    leg: LegId
    agent: int
    talked: bool
    again_at: int


@dataclass(frozen=True, slots=True)
class Asked:
    """An agent's part in this call so far: one line an agent, however often the phone rang.

    `outcome` is the last one, of `round`; `misses` counts the rounds in which the agent was rung
    and did not take it.
    """

    agent: int
    round: int
    outcome: Outcome
    misses: int = 0


class Why(StrEnum):
    """How a call ended."""

    TALKED = "answered"
    ABANDONED = "abandoned"
    NO_ANSWER = "no answer"
    NOBODY_FREE = "nobody free"
    ALL_DECLINED = "all declined"
    UNKNOWN_NUMBER = "unknown number"
    FAILED = "failed"  # a fault of ours: given back to the dialplan


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nobody rings."""


@dataclass(frozen=True, slots=True)
class Ringing:
    """At least one leg rings; ring-one and ring-all are the same phase."""

    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class Connecting:
    """The leg was accepted; the caller and it are on their way into the talk bridge."""

    leg: Leg
    until_at: int
    caller_in: bool = False
    agent_in: bool = False


@dataclass(frozen=True, slots=True)
class Talking:
    """Both were seen in the talk bridge."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class Leaving:
    """The caller was sent on `to` the dialplan, or hung up; we wait to see the channel go."""

    why: Why
    again_at: int
    to: Exit | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The caller is gone. The call stays live until `closing` is empty."""

    why: Why
    at: int


Place = Waiting | Ringing | Connecting | Talking | Leaving | Ended


@dataclass(frozen=True, slots=True)
class Call:
    """One call. Instants in microseconds UTC; `plan_version` is 0 for an unknown number.

    The next round begins at `retry_at`, once this one is over; `guard_at` is when the caller's
    timeout is disarmed again, should that have failed.
    """

    id: int
    number: str
    channel: str
    caller_number: str
    caller_name: str
    arrived_at: int
    give_up_at: int
    place: Place
    plan_version: int
    closing: tuple[Closing, ...] = ()
    asked: tuple[Asked, ...] = ()
    round: int = 1
    retry_at: int | None = None
    guard_at: int | None = None
    legs_made: int = 0
    caller_answered: bool = False
    answered_at: int | None = None
    answered_by: int | None = None
    version: int = 0


def is_over(call: Call) -> bool:
    """Nothing of the call is left in Asterisk."""
    return isinstance(call.place, Ended) and not call.closing


def live_legs(call: Call) -> tuple[Leg, ...]:
    """The legs of the place that have not ended; not those in `closing`."""
    match call.place:
        case Ringing(legs=legs):
            return tuple(leg for leg in legs if leg.stage is not Stage.ENDED)
        case Connecting(leg=leg) | Talking(leg=leg):
            return (leg,)
        case _:
            return ()


def holds_agent(call: Call, agent: int) -> bool:
    """Has the agent a leg in this call that may still exist?"""
    return any(leg.agent == agent for leg in live_legs(call)) or any(
        closing.agent == agent for closing in call.closing
    )


def asked_of(call: Call, agent: int) -> Asked | None:
    """The agent's part in this call so far, if any."""
    return next((asked for asked in call.asked if asked.agent == agent), None)


def misses_of(call: Call, agent: int) -> int:
    """In how many rounds of this call the agent was rung and did not take it."""
    asked = asked_of(call, agent)
    return asked.misses if asked else 0


def wake_at(call: Call) -> int | None:
    """The earliest deadline of the call, or None."""
    deadlines = [closing.again_at for closing in call.closing]
    if call.guard_at is not None:
        deadlines.append(call.guard_at)
    match call.place:
        case Waiting():
            deadlines.append(min(call.retry_at or call.give_up_at, call.give_up_at))
        case Ringing(legs=legs):
            deadlines += [leg.until_at for leg in legs]
            deadlines.append(call.give_up_at)
        case Connecting(until_at=until_at):
            deadlines.append(until_at)
        case Leaving(again_at=again_at):
            deadlines.append(again_at)
        case _:  # a talk lasts as long as it lasts
            pass
    return min(deadlines, default=None)
