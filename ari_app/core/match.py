"""Who in the line is offered to whom: waiting calls x agents x now -> offers, and why.

The oldest caller chooses first. Every candidate gets a verdict in words, which is journalled with
the event, so that "why did my phone not ring?" has an answer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from ari_app.core.agent import Agent, Outcome
from ari_app.core.call import Call, Ringing, Waiting, asked_of
from ari_app.core.events import MICROSECONDS, NobodyFree, Offer, Offered, RoundOver, Target, Verdict
from ari_app.core.plan import Member, Plan, Strategy
from ari_app.core.strategies import chosen

Decision = Offered | RoundOver | NobodyFree


class Standing(Enum):
    """Can a candidate be rung for a call?"""

    FREE = auto()
    RUNG = auto()  # being rung; that ends soon
    TRIED = auto()  # was rung in this round
    DECLINED = auto()
    OUT = auto()  # can't be rung, and waiting is not known to change it


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member's standing towards one call, and the words for it."""

    member: Member
    standing: Standing
    says: str


# What an agent's answer in this round means for the rest of it.
_ASKED = {
    Outcome.DECLINED: (Standing.DECLINED, "declined this call"),
    Outcome.NO_ANSWER: (Standing.TRIED, "did not take it in this round"),
    Outcome.DROPPED: (Standing.TRIED, "hung up before the talk began"),
    Outcome.BUSY: (Standing.OUT, "was busy in this round"),
    Outcome.UNREACHABLE: (Standing.OUT, "could not be reached in this round"),
    Outcome.LOST: (Standing.FREE, "free; the last attempt was lost"),
    Outcome.ELSEWHERE: (Standing.FREE, "free"),
    Outcome.CALLER_LEFT: (Standing.FREE, "free"),
    Outcome.ANSWERED: (Standing.FREE, "free"),
}


def in_line(call: Call, plan: Plan) -> bool:
    """May the matcher give this call to somebody (else)?"""
    return isinstance(call.place, Waiting) or (
        isinstance(call.place, Ringing) and plan.strategy is Strategy.RING_ALL
    )


def match(
    line: Iterable[tuple[Call, Plan]], agents: Mapping[int, Agent], at: int
) -> tuple[Decision, ...]:
    """What to tell each call of the line, the oldest served first; most are told nothing."""
    decisions: list[Decision] = []
    taken: set[int] = set()
    for call, plan in sorted(line, key=lambda pair: (pair[0].arrived_at, pair[0].id)):
        candidates = [_candidate(call, member, agents, taken, at) for member in plan.members]
        decision = _decide(call, plan, candidates, at)
        if decision is not None:
            decisions.append(decision)
        if isinstance(decision, Offered):
            taken |= {offer.agent for offer in decision.offers}
    return tuple(decisions)


def _decide(call: Call, plan: Plan, candidates: list[Candidate], at: int) -> Decision | None:
    verdicts = tuple(Verdict(c.member.agent, c.member.name, c.says) for c in candidates)
    standings = {candidate.standing for candidate in candidates}
    if Standing.FREE in standings:
        free = [c.member for c in candidates if c.standing is Standing.FREE]
        offers = tuple(_offer(member) for member in chosen(plan.strategy, free, call))
        return Offered(at, call.id, offers, verdicts)
    if not isinstance(call.place, Waiting) or Standing.RUNG in standings:
        return None
    if Standing.TRIED in standings:
        return RoundOver(at, call.id, verdicts) if call.retry_at is None else None
    return NobodyFree(at, call.id, standings == {Standing.DECLINED}, verdicts)


def _offer(member: Member) -> Offer:
    targets = tuple(Target(d.id, d.endpoint, d.confirm) for d in member.devices)
    return Offer(member.agent, targets)


def _candidate(
    call: Call, member: Member, agents: Mapping[int, Agent], taken: set[int], at: int
) -> Candidate:
    agent = agents.get(member.agent)
    if agent is None or not member.devices:
        return Candidate(member, Standing.OUT, "has no phone")
    if not member.may_ring:
        return Candidate(member, Standing.OUT, "does not ring for this number")
    return _live_candidate(call, member, agent, taken, at)


def _live_candidate(
    call: Call, member: Member, agent: Agent, taken: set[int], at: int
) -> Candidate:
    if agent.talking:
        return Candidate(member, Standing.OUT, "in a call")
    if agent.reserved_by == call.id:
        return Candidate(member, Standing.RUNG, "is being rung for this call")
    if agent.reserved_by is not None or agent.id in taken:
        return Candidate(member, Standing.RUNG, "is being rung for another caller")
    asked = asked_of(call, agent.id)
    if asked is not None and (asked.round == call.round or asked.outcome is Outcome.DECLINED):
        return Candidate(member, *_ASKED[asked.outcome])
    if agent.backoff_until_at > at:
        left_s = -((at - agent.backoff_until_at) // MICROSECONDS)
        return Candidate(member, Standing.OUT, f"was busy or not reachable, rests {left_s} s more")
    return Candidate(member, Standing.FREE, "free")
