"""What a call does when something happens to it. Start here.

`advance(call, event, plan)` finds the handler of (place, event) in `HANDLERS` and returns its
`Step`. It never raises on a surprising event: races are normal in telephony, and each pair that is
ignored stands in `ignored.py` with its reason. The handlers follow in call order: a caller arrives,
waits, is offered, phones ring, one answers, they talk, the caller leaves.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from ari_app.core import legs
from ari_app.core.agent import Outcome, Reserved
from ari_app.core.call import (
    CLOSE_S,
    CONNECT_S,
    Call,
    Connecting,
    Ended,
    Leaving,
    Leg,
    Ringing,
    Stage,
    Talking,
    Waiting,
    Why,
    live_legs,
)
from ari_app.core.commands import (
    AnswerCaller,
    EndTalk,
    HangUpCaller,
    HangUpReason,
    JoinTalk,
    LeaveTo,
    MakeTalk,
    RingBack,
)
from ari_app.core.events import (
    CallArrived,
    CallerLeft,
    DeadlineReached,
    Event,
    JoinedTalk,
    LegAnswered,
    LegDigit,
    LegEnded,
    LegRang,
    NobodyFree,
    Offered,
    RoundOver,
    TalkFailed,
    after,
)
from ari_app.core.ignored import reason_to_ignore
from ari_app.core.plan import UNKNOWN_NUMBER, Exit, Plan
from ari_app.core.results import meaning
from ari_app.core.step import Step, close, free, settle

P = TypeVar("P")
E = TypeVar("E")
Handler = Callable[[Call, P, E, Plan], Step]
HANDLERS: dict[tuple[type, type], Handler[Any, Any]] = {}

ACCEPT_DIGIT = "1"


def _on(place: type[P], event: type[E]) -> Callable[[Handler[P, E]], Handler[P, E]]:
    def register(handler: Handler[P, E]) -> Handler[P, E]:
        HANDLERS[place, event] = handler
        return handler

    return register


def arrive(event: CallArrived, plan: Plan) -> Step:
    """A caller is there: ring back and wait to be offered, or leave if the number isn't ours."""
    call = Call(
        id=event.call,
        number=event.number,
        channel=event.channel,
        caller_number=event.caller_number,
        caller_name=event.caller_name,
        arrived_at=event.at,
        give_up_at=after(event.at, plan.max_wait_s),
        place=Waiting(),
        plan_version=plan.version,
    )
    if plan.version == UNKNOWN_NUMBER.version:
        return _leave(Step(call), plan.fallback, Why.UNKNOWN_NUMBER, event.at)
    return Step(call).ask(RingBack(call.id, call.channel))


def advance(call: Call, event: Event, plan: Plan) -> Step:
    """The step that `event` makes of `call`, by the plan the call arrived with."""
    told = meaning(event)
    if told is None:
        return Step(call, ignored="an answer that changes nothing")
    step = legs.of_closing(call, told)
    if step is not None:
        return step
    handler = HANDLERS.get((type(call.place), type(told)))
    if handler is None:
        return legs.hang_up_stray(Step(call, ignored=reason_to_ignore(call.place, told)), told)
    return handler(call, call.place, told, plan)


# --- waiting: nobody rings yet, or any more -------------------------------------------------


@_on(Waiting, Offered)
def waiting_offered(call: Call, _: Waiting, event: Offered, plan: Plan) -> Step:
    """The matcher found somebody: ring all their devices."""
    return _ring(call, (), event, plan)


@_on(Waiting, RoundOver)
def waiting_round_over(call: Call, _: Waiting, event: RoundOver, plan: Plan) -> Step:
    """Everybody was rung once and nobody came: rest before the next round."""
    return Step(call).to(Waiting(after(event.at, plan.retry_s)))


@_on(Waiting, NobodyFree)
def waiting_nobody_free(call: Call, _: Waiting, event: NobodyFree, plan: Plan) -> Step:
    """Waiting would not help: the fallback at once."""
    why = Why.ALL_DECLINED if event.all_declined else Why.NOBODY_FREE
    return _leave(Step(call), plan.fallback, why, event.at)


@_on(Waiting, DeadlineReached)
def waiting_deadline(call: Call, place: Waiting, event: DeadlineReached, plan: Plan) -> Step:
    """The wait is too long, or the next round begins."""
    step = legs.close_again(Step(call), event.at)
    if event.at >= call.give_up_at:
        return _leave(step, plan.fallback, Why.NO_ANSWER, event.at)
    if place.retry_at is None or event.at < place.retry_at:
        return step
    return replace(step, call=replace(step.call, round=call.round + 1)).to(Waiting())


@_on(Waiting, CallerLeft)
def waiting_caller_left(call: Call, _: Waiting, event: CallerLeft, __: Plan) -> Step:
    """The caller hung up while nobody rang."""
    return Step(call).to(Ended(Why.ABANDONED, event.at))


# --- ringing --------------------------------------------------------------------------------


@_on(Ringing, Offered)
def ringing_offered(call: Call, place: Ringing, event: Offered, plan: Plan) -> Step:
    """A member who was freed meanwhile joins in (ring-all)."""
    return _ring(call, place.legs, event, plan)


@_on(Ringing, LegRang)
def ringing_leg_rang(call: Call, place: Ringing, event: LegRang, _: Plan) -> Step:
    """The phone rings: from now on a refusal is a decision of the agent's."""
    return _with_stage(call, place, event, Stage.RANG)


@_on(Ringing, LegAnswered)
def ringing_leg_answered(call: Call, place: Ringing, event: LegAnswered, _: Plan) -> Step:
    """The first accepted leg wins; a mobile is accepted only when 1 is pressed."""
    leg = legs.find(place.legs, event.leg)
    if leg is None:
        return legs.hang_up_stray(Step(call, ignored="a leg we no longer know"), event)
    if leg.confirm:
        return _with_stage(call, place, event, Stage.ANSWERED)
    return _accept(call, place, leg, event.at)


@_on(Ringing, LegDigit)
def ringing_leg_digit(call: Call, place: Ringing, event: LegDigit, _: Plan) -> Step:
    """1 on an answered mobile accepts the call."""
    leg = legs.find(place.legs, event.leg)
    if leg is None or leg.stage is not Stage.ANSWERED or event.digit != ACCEPT_DIGIT:
        return Step(call, ignored="a key that means nothing here")
    return _accept(call, place, leg, event.at)


@_on(Ringing, LegEnded)
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


@_on(Ringing, DeadlineReached)
def ringing_deadline(call: Call, place: Ringing, event: DeadlineReached, plan: Plan) -> Step:
    """The wait is too long, or some rang for `ring_s` without an answer."""
    step = legs.close_again(Step(call), event.at)
    if event.at >= call.give_up_at:
        step = _stop_ringing(step, HangUpReason.NO_ANSWER, Outcome.NO_ANSWER, event.at)
        return _leave(step, plan.fallback, Why.NO_ANSWER, event.at)
    for agent in dict.fromkeys(leg.agent for leg in place.legs if leg.until_at <= event.at):
        outcome = legs.verdict(legs.timed_out(place.legs), agent)
        assert outcome is not None
        step = _offer_over(step, agent, outcome, event.at)
    return step


@_on(Ringing, CallerLeft)
def ringing_caller_left(call: Call, _: Ringing, event: CallerLeft, __: Plan) -> Step:
    """The caller gave up: the phones stop ringing and show a missed call."""
    step = _stop_ringing(Step(call), HangUpReason.NORMAL, Outcome.CALLER_LEFT, event.at)
    return step.to(Ended(Why.ABANDONED, event.at))


# --- connecting: an agent accepted ----------------------------------------------------------


@_on(Connecting, JoinedTalk)
def connecting_joined(call: Call, place: Connecting, event: JoinedTalk, _: Plan) -> Step:
    """They talk once both were seen in the bridge: addChannel may answer 204 and fail inside."""
    caller_in = place.caller_in or event.leg is None
    agent_in = place.agent_in or event.leg == place.leg.id
    if not (caller_in and agent_in):
        return Step(call).to(replace(place, caller_in=caller_in, agent_in=agent_in))
    agent = place.leg.agent
    call = replace(call, answered_at=event.at, answered_by=agent)
    step = Step(call).to(Talking(place.leg))
    return settle(step, agent, Outcome.ANSWERED, event.at, place.leg.dialled_at)


@_on(Connecting, LegEnded)
def connecting_leg_ended(call: Call, place: Connecting, event: LegEnded, _: Plan) -> Step:
    """The agent hung up at once: the caller waits for somebody else."""
    if event.leg != place.leg.id:
        return Step(call, ignored="a leg we no longer know")
    return _lose_agent(Step(call).to(Waiting()), place.leg, event.at)


@_on(Connecting, TalkFailed)
def connecting_failed(call: Call, place: Connecting, event: TalkFailed, _: Plan) -> Step:
    """Asterisk could not connect them; if the caller is gone, that will be seen in a moment."""
    step = close(Step(call).to(Waiting()), (place.leg,), HangUpReason.NORMAL, event.at)
    return _lose_agent(step, place.leg, event.at)


@_on(Connecting, DeadlineReached)
def connecting_deadline(call: Call, place: Connecting, event: DeadlineReached, _: Plan) -> Step:
    """One of them never came into the bridge."""
    step = legs.close_again(Step(call), event.at)
    if event.at < place.until_at:
        return step
    step = close(step.to(Waiting()), (place.leg,), HangUpReason.NORMAL, event.at)
    return _lose_agent(step, place.leg, event.at)


@_on(Connecting, CallerLeft)
def connecting_caller_left(call: Call, place: Connecting, event: CallerLeft, _: Plan) -> Step:
    """The caller hung up in the instant of the answer."""
    step = Step(call).to(Ended(Why.ABANDONED, event.at))
    step = close(step, (place.leg,), HangUpReason.NORMAL, event.at).ask(EndTalk(call.id))
    return settle(step, place.leg.agent, Outcome.CALLER_LEFT, event.at, place.leg.dialled_at)


# --- talking --------------------------------------------------------------------------------


@_on(Talking, LegEnded)
def talking_leg_ended(call: Call, place: Talking, event: LegEnded, _: Plan) -> Step:
    """The agent hung up, so the caller is hung up."""
    if event.leg != place.leg.id:
        return Step(call, ignored="a leg we no longer know")
    step = Step(call).to(Leaving(Why.TALKED, after(event.at, CLOSE_S)))
    step = step.ask(HangUpCaller(call.id, call.channel, HangUpReason.NORMAL), EndTalk(call.id))
    return free(step, place.leg.agent, event.at, talked=True)


@_on(Talking, CallerLeft)
def talking_caller_left(call: Call, place: Talking, event: CallerLeft, _: Plan) -> Step:
    """The caller hung up, so the agent is hung up."""
    step = Step(call).to(Ended(Why.TALKED, event.at))
    step = close(step, (place.leg,), HangUpReason.NORMAL, event.at, talked=True)
    return step.ask(EndTalk(call.id))


# --- leaving, and the legs that outlive the caller ------------------------------------------


@_on(Leaving, CallerLeft)
def leaving_caller_left(call: Call, place: Leaving, event: CallerLeft, _: Plan) -> Step:
    """The caller is out of our hands."""
    return Step(call).to(Ended(place.why, event.at))


@_on(Leaving, DeadlineReached)
def leaving_deadline(call: Call, place: Leaving, event: DeadlineReached, _: Plan) -> Step:
    """The caller should be gone by now."""
    step = legs.close_again(Step(call), event.at)
    if event.at < place.again_at:
        return step
    step = step.to(replace(place, again_at=after(event.at, CLOSE_S)))
    return step.ask(HangUpCaller(call.id, call.channel, HangUpReason.NORMAL))


@_on(Ended, DeadlineReached)
def closing_deadline(call: Call, _: object, event: DeadlineReached, __: Plan) -> Step:
    """A leg that was told to hang up should be gone by now."""
    return legs.close_again(Step(call), event.at)


HANDLERS[Talking, DeadlineReached] = closing_deadline

# --- what several handlers do ---------------------------------------------------------------


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
    step = Step(replace(call, caller_answered=True)).to(Connecting(winner, after(at, CONNECT_S)))
    if not call.caller_answered:
        step = step.ask(AnswerCaller(call.id, call.channel))
    step = step.ask(MakeTalk(call.id), JoinTalk(call.id, call.channel, leg.id))
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


def _lose_agent(step: Step, leg: Leg, at: int) -> Step:
    step = settle(step.ask(EndTalk(step.call.id)), leg.agent, Outcome.DROPPED, at, leg.dialled_at)
    step = step.ask(RingBack(step.call.id, step.call.channel))
    return free(step, leg.agent, at)


def _leave(step: Step, to: Exit, why: Why, at: int) -> Step:
    call = step.call
    step = step.to(Leaving(why, after(at, CLOSE_S)))
    return step.ask(LeaveTo(call.id, call.channel, to.context, to.extension))
