"""An agent as the matcher sees one: reserved or not, resting or not.

The settings of an agent (name, devices) are in the plan; this is what changes during the day.
Facts are what a call's step did to an agent; they are applied in the step's own transaction.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from ari_app.core.events import after

BACKOFF_S = 5


class Outcome(StrEnum):
    """How an offer ended for its agent."""

    ANSWERED = "answered"
    DECLINED = "declined"  # refused after it rang: out for this call
    NO_ANSWER = "no answer"
    BUSY = "busy"  # refused before it rang
    UNREACHABLE = "unreachable"
    DROPPED = "dropped"  # answered, but the talk did not come about
    ELSEWHERE = "answered elsewhere"
    CALLER_LEFT = "caller left"
    LOST = "lost"  # the controller was away: nobody's fault, so the agent is rung again


@dataclass(frozen=True, slots=True)
class Agent:
    """The live state of one agent. Instants in microseconds UTC; 0 = never."""

    id: int
    reserved_by: int | None = None
    talking: bool = False
    backoff_until_at: int = 0
    idle_since_at: int = 0


@dataclass(frozen=True, slots=True)
class Reserved:
    """The agent is offered the call and can be offered no other."""

    at: int
    agent: int
    call: int


@dataclass(frozen=True, slots=True)
class Attempted:
    """An offer ended; one row of the call's history."""

    at: int
    agent: int
    call: int
    round: int
    outcome: Outcome
    since_at: int


@dataclass(frozen=True, slots=True)
class Freed:
    """The end of the agent's last leg in the call was seen."""

    at: int
    agent: int
    call: int
    talked: bool


Fact = Reserved | Attempted | Freed


def apply(agent: Agent, fact: Fact) -> Agent:
    """The agent after the fact."""
    match fact:
        case Reserved():
            return replace(agent, reserved_by=fact.call)
        case Freed():
            idle_since_at = fact.at if fact.talked else agent.idle_since_at
            return replace(agent, reserved_by=None, talking=False, idle_since_at=idle_since_at)
        case Attempted(outcome=Outcome.ANSWERED):
            return replace(agent, talking=True)
        case Attempted(outcome=Outcome.BUSY | Outcome.UNREACHABLE):
            return replace(agent, backoff_until_at=after(fact.at, BACKOFF_S))
        case _:
            return agent


def wake_at(agent: Agent, at: int) -> int | None:
    """When this agent can be offered calls again without any event, or None."""
    return agent.backoff_until_at if agent.backoff_until_at > at else None
