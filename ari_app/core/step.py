"""The one return type of `advance`: the new state, what to ask of Asterisk, what it did to others.

A step is built by chaining: `Step(call).to(place).ask(command).note(fact)`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ari_app.core.agent import Attempted, Fact, Freed, Outcome
from ari_app.core.call import (
    CLOSE_S,
    CONNECT_S,
    Asked,
    Call,
    Closing,
    Connecting,
    Leg,
    Place,
    holds_agent,
    misses_of,
)
from ari_app.core.commands import (
    AnswerCaller,
    Command,
    Guard,
    HangUpLeg,
    HangUpReason,
    JoinTalk,
    MakeTalk,
)
from ari_app.core.events import after


@dataclass(frozen=True, slots=True)
class Step:
    """`ignored` says why nothing happened; then the call is as it was."""

    call: Call
    commands: tuple[Command, ...] = ()
    facts: tuple[Fact, ...] = ()
    ignored: str = ""

    def to(self, place: Place) -> "Step":
        """The call goes to another place."""
        return replace(self, call=replace(self.call, place=place))

    def ask(self, *commands: Command) -> "Step":
        """Commands for Asterisk, sent in this order after the commit."""
        return replace(self, commands=self.commands + commands)

    def note(self, *facts: Fact) -> "Step":
        """Effects on other subjects, applied in the same transaction."""
        return replace(self, facts=self.facts + facts)


def close(
    step: Step, legs: Iterable[Leg], reason: HangUpReason, at: int, *, talked: bool = False
) -> Step:
    """Hang the legs up and keep them in `closing` until their end is seen."""
    for leg in legs:
        closing = Closing(leg.id, leg.agent, talked, after(at, CLOSE_S))
        call = replace(step.call, closing=(*step.call.closing, closing))
        step = replace(step, call=call).ask(HangUpLeg(call.id, leg.id, reason))
    return step


def settle(step: Step, agent: int, outcome: Outcome, at: int, since_at: int) -> Step:
    """Record how the offer to the agent ended."""
    call = step.call
    misses = misses_of(call, agent) + (outcome in {Outcome.NO_ANSWER, Outcome.DROPPED})
    others = (asked for asked in call.asked if asked.agent != agent)
    asked = (*others, Asked(agent, call.round, outcome, misses))
    fact = Attempted(at, agent, call.id, call.round, outcome, since_at)
    return replace(step, call=replace(call, asked=asked)).note(fact)


def free(step: Step, agent: int, at: int, *, talked: bool = False) -> Step:
    """Free the agent, unless one of the agent's legs may still exist."""
    if holds_agent(step.call, agent):
        return step
    return step.note(Freed(at, agent, step.call.id, talked))


def connect(step: Step, leg: Leg, at: int) -> Step:
    """Bring the caller and the accepted leg together; the caller is answered only once."""
    call = step.call
    until_at = after(at, CONNECT_S)
    step = step.ask(Guard(call.id, call.channel, 0))
    if not call.caller_answered:
        step = replace(step, call=replace(call, caller_answered=True))
        step = step.ask(AnswerCaller(call.id, call.channel))
    join = JoinTalk(call.id, call.channel, leg.id, until_at)
    return step.to(Connecting(leg, until_at)).ask(MakeTalk(call.id), join)
