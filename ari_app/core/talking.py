"""A call from the answer on: connecting, talking, and the caller on the way out."""

from dataclasses import replace

from ari_app.core import legs
from ari_app.core.agent import Outcome
from ari_app.core.call import CLOSE_S, Call, Connecting, Ended, Leaving, Leg, Talking, Waiting, Why
from ari_app.core.commands import EndTalk, Guard, HangUpCaller, HangUpReason, RingBack
from ari_app.core.events import (
    MICROSECONDS,
    CallerLeft,
    DeadlineReached,
    GuardFailed,
    JoinedTalk,
    LegAnswered,
    LegEnded,
    TalkFailed,
    after,
)
from ari_app.core.handlers import HANDLERS, leave, on
from ari_app.core.plan import GUARD_S, Plan
from ari_app.core.step import Step, close, connect, free, settle

# --- connecting: an agent accepted ----------------------------------------------------------


@on(Connecting, JoinedTalk)
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


@on(Connecting, LegAnswered)
def connecting_leg_answered(call: Call, place: Connecting, event: LegAnswered, _: Plan) -> Step:
    """After an absence of ours both are still there, but not together: try again."""
    if event.leg != place.leg.id:
        return legs.hang_up_stray(Step(call, ignored="a leg we no longer know"), event)
    return connect(Step(call), place.leg, event.at)


@on(Connecting, LegEnded)
def connecting_leg_ended(call: Call, place: Connecting, event: LegEnded, _: Plan) -> Step:
    """The agent hung up at once: the caller waits for somebody else."""
    if event.leg != place.leg.id:
        return Step(call, ignored="a leg we no longer know")
    return _lose_agent(Step(call).to(Waiting()), place.leg, event.at)


@on(Connecting, TalkFailed)
def connecting_failed(call: Call, place: Connecting, event: TalkFailed, _: Plan) -> Step:
    """Asterisk could not connect them; if the caller is gone, that will be seen in a moment."""
    if event.until_at != place.until_at:
        return Step(call, ignored="an earlier attempt to connect them")
    step = close(Step(call).to(Waiting()), (place.leg,), HangUpReason.NORMAL, event.at)
    return _lose_agent(step, place.leg, event.at)


@on(Connecting, GuardFailed)
def connecting_guard_failed(call: Call, _: Connecting, event: GuardFailed, __: Plan) -> Step:
    """The caller's timeout may be armed still: disarm it again, soon."""
    return Step(replace(call, guard_at=after(event.at, CLOSE_S)))


HANDLERS[Talking, GuardFailed] = connecting_guard_failed


@on(Connecting, DeadlineReached)
def connecting_deadline(call: Call, place: Connecting, event: DeadlineReached, _: Plan) -> Step:
    """One of them never came into the bridge."""
    step = legs.close_again(Step(call), event.at)
    if event.at < place.until_at:
        return step
    step = close(step.to(Waiting()), (place.leg,), HangUpReason.NORMAL, event.at)
    return _lose_agent(step, place.leg, event.at)


@on(Connecting, CallerLeft)
def connecting_caller_left(call: Call, place: Connecting, event: CallerLeft, _: Plan) -> Step:
    """The caller hung up in the instant of the answer."""
    step = Step(call).to(Ended(Why.ABANDONED, event.at))
    step = close(step, (place.leg,), HangUpReason.NORMAL, event.at).ask(EndTalk(call.id))
    return settle(step, place.leg.agent, Outcome.CALLER_LEFT, event.at, place.leg.dialled_at)


# --- talking --------------------------------------------------------------------------------


@on(Talking, LegEnded)
def talking_leg_ended(call: Call, place: Talking, event: LegEnded, _: Plan) -> Step:
    """The agent hung up, so the caller is hung up."""
    if event.leg != place.leg.id:
        return Step(call, ignored="a leg we no longer know")
    step = Step(call).to(Leaving(Why.TALKED, after(event.at, CLOSE_S)))
    step = step.ask(HangUpCaller(call.id, call.channel, HangUpReason.NORMAL), EndTalk(call.id))
    return free(step, place.leg.agent, event.at, talked=True)


@on(Talking, CallerLeft)
def talking_caller_left(call: Call, place: Talking, event: CallerLeft, _: Plan) -> Step:
    """The caller hung up, so the agent is hung up."""
    step = Step(call).to(Ended(Why.TALKED, event.at))
    step = close(step, (place.leg,), HangUpReason.NORMAL, event.at, talked=True)
    return step.ask(EndTalk(call.id))


# --- leaving, and the legs that outlive the caller ------------------------------------------


@on(Leaving, CallerLeft)
def leaving_caller_left(call: Call, place: Leaving, event: CallerLeft, _: Plan) -> Step:
    """The caller is out of our hands."""
    return Step(call).to(Ended(place.why, event.at))


@on(Leaving, DeadlineReached)
def leaving_deadline(call: Call, place: Leaving, event: DeadlineReached, _: Plan) -> Step:
    """The caller should be gone by now: ask again."""
    step = legs.close_again(Step(call), event.at)
    if event.at < place.again_at:
        return step
    if place.to is not None:
        return leave(step, place.to, place.why, event.at)
    step = step.to(replace(place, again_at=after(event.at, CLOSE_S)))
    return step.ask(HangUpCaller(call.id, call.channel, HangUpReason.NORMAL))


@on(Ended, DeadlineReached)
def closing_deadline(call: Call, _: object, event: DeadlineReached, __: Plan) -> Step:
    """A leg that was told to hang up should be gone by now."""
    return legs.close_again(Step(call), event.at)


HANDLERS[Talking, DeadlineReached] = closing_deadline


def _lose_agent(step: Step, leg: Leg, at: int) -> Step:
    call = step.call
    step = settle(step.ask(EndTalk(call.id)), leg.agent, Outcome.DROPPED, at, leg.dialled_at)
    left_s = max(0, call.give_up_at - at) // MICROSECONDS
    guard = Guard(call.id, call.channel, left_s + GUARD_S)
    return free(step.ask(RingBack(call.id, call.channel), guard), leg.agent, at)
