"""A call while nobody has taken it: waiting to be offered, and ringing."""

from dataclasses import replace

from ari_app.core import legs
from ari_app.core.agent import Outcome, Reserved
from ari_app.core.call import (
    Call,
    Ended,
    Leg,
    Ringing,
    Stage,
    Waiting,
    Why,
    asked_of,
    live_legs,
)
from ari_app.core.commands import HangUpReason
from ari_app.core.events import (
    CallerLeft,
    DeadlineReached,
    LegAnswered,
    LegDigit,
    LegEnded,
    LegRang,
    NobodyFree,
    Offered,
    PhoneBack,
    RoundOver,
    after,
)
from ari_app.core.handlers import leave, on
from ari_app.core.plan import Plan
from ari_app.core.step import Step, close, connect, free, settle

ACCEPT_DIGIT = "1"

# --- waiting: nobody rings yet, or any more -------------------------------------------------


@on(Waiting, Offered)
def waiting_offered(call: Call, _: Waiting, event: Offered, plan: Plan) -> Step:
    """The matcher found somebody: ring all their devices."""
    return _ring(call, (), event, plan)


@on(Waiting, RoundOver)
def waiting_round_over(call: Call, _: Waiting, event: RoundOver, plan: Plan) -> Step:
    """Everybody was asked once and nobody came: rest before the next round."""
    return Step(replace(call, retry_at=after(event.at, plan.retry_s)))


@on(Waiting, NobodyFree)
def waiting_nobody_free(call: Call, _: Waiting, event: NobodyFree, plan: Plan) -> Step:
    """Waiting would not help: the fallback at once."""
    why = Why.ALL_DECLINED if event.all_declined else Why.NOBODY_FREE
    return leave(Step(call), plan.fallback, why, event.at)


@on(Waiting, DeadlineReached)
def waiting_deadline(call: Call, _: Waiting, event: DeadlineReached, plan: Plan) -> Step:
    """The wait is too long, or the next round begins."""
    step = legs.close_again(Step(call), event.at)
    if event.at >= call.give_up_at:
        return leave(step, plan.fallback, Why.NO_ANSWER, event.at)
    if call.retry_at is None or event.at < call.retry_at:
        return step
    return replace(step, call=replace(step.call, round=call.round + 1, retry_at=None))


@on(Waiting, PhoneBack)
def waiting_phone_back(call: Call, _: Waiting, event: PhoneBack, __: Plan) -> Step:
    """An agent who was busy, or could not be reached, may be asked after all."""
    return _ask_again(call, event.agent)


@on(Waiting, CallerLeft)
def waiting_caller_left(call: Call, _: Waiting, event: CallerLeft, __: Plan) -> Step:
    """The caller hung up while nobody rang."""
    return Step(call).to(Ended(Why.ABANDONED, event.at))


# --- ringing --------------------------------------------------------------------------------


@on(Ringing, Offered)
def ringing_offered(call: Call, place: Ringing, event: Offered, plan: Plan) -> Step:
    """A member who was freed meanwhile joins in (ring-all)."""
    return _ring(call, place.legs, event, plan)


@on(Ringing, PhoneBack)
def ringing_phone_back(call: Call, _: Ringing, event: PhoneBack, __: Plan) -> Step:
    """An agent who was busy, or could not be reached, may join in (ring-all)."""
    return _ask_again(call, event.agent)


@on(Ringing, LegRang)
def ringing_leg_rang(call: Call, place: Ringing, event: LegRang, _: Plan) -> Step:
    """The phone rings: from now on a refusal is a decision of the agent's."""
    return _with_stage(call, place, event, Stage.RANG)


@on(Ringing, LegAnswered)
def ringing_leg_answered(call: Call, place: Ringing, event: LegAnswered, _: Plan) -> Step:
    """The first accepted leg wins; a mobile is accepted only when 1 is pressed."""
    leg = legs.find(place.legs, event.leg)
    if leg is None:
        return legs.hang_up_stray(Step(call, ignored="a leg we no longer know"), event)
    if leg.confirm:
        return _with_stage(call, place, event, Stage.ANSWERED)
    return _accept(call, place, leg, event.at)


@on(Ringing, LegDigit)
def ringing_leg_digit(call: Call, place: Ringing, event: LegDigit, _: Plan) -> Step:
    """1 on an answered mobile accepts the call."""
    leg = legs.find(place.legs, event.leg)
    if leg is None or leg.stage is not Stage.ANSWERED or event.digit != ACCEPT_DIGIT:
        return Step(call, ignored="a key that means nothing here")
    return _accept(call, place, leg, event.at)


@on(Ringing, LegEnded)
def ringing_leg_ended(call: Call, place: Ringing, event: LegEnded, _: Plan) -> Step:
    """A device is out; the offer to its agent is over when all are, or when one declined."""
    leg = legs.find(place.legs, event.leg)
    if leg is None:
        return Step(call, ignored="a leg we no longer know")
    ended = replace(leg, stage=Stage.ENDED, outcome=legs.outcome(leg, event.end))
    ringing = legs.put(place, ended)
    step = Step(call).to(ringing)
    verdict = legs.verdict(ringing.legs, leg.agent)
    return step if verdict is None else _offer_over(step, leg.agent, verdict, event.at)


@on(Ringing, DeadlineReached)
def ringing_deadline(call: Call, place: Ringing, event: DeadlineReached, plan: Plan) -> Step:
    """The wait is too long, or some rang for `ring_s` without an answer."""
    step = legs.close_again(Step(call), event.at)
    if event.at >= call.give_up_at:
        step = _stop_ringing(step, HangUpReason.NO_ANSWER, Outcome.NO_ANSWER, event.at)
        return leave(step, plan.fallback, Why.NO_ANSWER, event.at)
    for agent in dict.fromkeys(leg.agent for leg in place.legs if leg.until_at <= event.at):
        outcome = legs.verdict(legs.timed_out(place.legs), agent)
        assert outcome is not None
        step = _offer_over(step, agent, outcome, event.at)
    return step


@on(Ringing, CallerLeft)
def ringing_caller_left(call: Call, _: Ringing, event: CallerLeft, __: Plan) -> Step:
    """The caller gave up: the phones stop ringing and show a missed call."""
    step = _stop_ringing(Step(call), HangUpReason.NORMAL, Outcome.CALLER_LEFT, event.at)
    return step.to(Ended(Why.ABANDONED, event.at))


# --- what several of these do ---


def _ask_again(call: Call, agent: int) -> Step:
    asked = asked_of(call, agent)
    if asked is None or asked.outcome not in {Outcome.BUSY, Outcome.UNREACHABLE}:
        return Step(call, ignored="the agent was not missed")
    return Step(replace(call, asked=tuple(a for a in call.asked if a is not asked)))


def _ring(call: Call, ringing: tuple[Leg, ...], event: Offered, plan: Plan) -> Step:
    step, dialled = legs.dial(call, event, plan)
    reserved = (Reserved(event.at, offer.agent, call.id) for offer in event.offers)
    return step.to(Ringing(ringing + dialled)).note(*reserved)


def _with_stage(call: Call, place: Ringing, event: LegRang | LegAnswered, stage: Stage) -> Step:
    leg = legs.find(place.legs, event.leg)
    if leg is None:
        return Step(call, ignored="a leg we no longer know")
    return Step(call).to(legs.put(place, replace(leg, stage=stage)))


def _accept(call: Call, place: Ringing, leg: Leg, at: int) -> Step:
    losers = tuple(other for other in live_legs(call) if other.id != leg.id)
    winner = replace(leg, stage=Stage.ANSWERED)
    step = connect(Step(call), winner, at)
    step = close(step, losers, HangUpReason.ELSEWHERE, at)
    rivals = {other.agent: other for other in place.legs if other.agent != leg.agent}
    for agent, other in rivals.items():
        step = settle(step, agent, Outcome.ELSEWHERE, at, other.dialled_at)
    return step


def _offer_over(step: Step, agent: int, outcome: Outcome, at: int) -> Step:
    place = step.call.place
    assert isinstance(place, Ringing)
    mine = tuple(leg for leg in place.legs if leg.agent == agent)
    rest = tuple(leg for leg in place.legs if leg.agent != agent)
    step = step.to(Ringing(rest) if rest else Waiting())
    open_legs = tuple(leg for leg in mine if leg.stage is not Stage.ENDED)
    step = close(step, open_legs, HangUpReason.NO_ANSWER, at)
    return free(settle(step, agent, outcome, at, mine[0].dialled_at), agent, at)


def _stop_ringing(step: Step, reason: HangUpReason, outcome: Outcome, at: int) -> Step:
    place = step.call.place
    assert isinstance(place, Ringing)
    step = close(step.to(Waiting()), live_legs(step.call), reason, at)
    for agent, leg in {leg.agent: leg for leg in place.legs}.items():
        step = free(settle(step, agent, outcome, at, leg.dialled_at), agent, at)
    return step
