"""What happens to legs, in whatever place the call is: dialling, outcomes, closing, strays."""

from collections.abc import Iterable
from dataclasses import replace

from ari_app.core.agent import Outcome
from ari_app.core.call import CLOSE_S, Call, Leg, Ringing, Stage, live_legs
from ari_app.core.commands import Guard, HangUpLeg, HangUpReason, LegId, Ring
from ari_app.core.events import (
    Event,
    LegAnswered,
    LegDigit,
    LegEnd,
    LegEnded,
    LegRang,
    Offered,
    after,
)
from ari_app.core.plan import Plan
from ari_app.core.step import Step, free

# Asterisk's own timeout is a net under `until_at`: it must never be the first to act.
NET_S = 5

# With several devices, the answer that tells most about the agent counts.
_TELLING = (
    Outcome.DECLINED,
    Outcome.LOST,
    Outcome.NO_ANSWER,
    Outcome.BUSY,
    Outcome.UNREACHABLE,
)

_AFTER_RINGING = {
    LegEnd.REFUSED: Outcome.DECLINED,
    LegEnd.SILENT: Outcome.NO_ANSWER,
    LegEnd.HUNG_UP: Outcome.NO_ANSWER,
    LegEnd.FORWARDED: Outcome.UNREACHABLE,
    LegEnd.FAILED: Outcome.UNREACHABLE,
    LegEnd.LOST: Outcome.LOST,
}
_BEFORE_RINGING = {
    LegEnd.REFUSED: Outcome.BUSY,
    LegEnd.SILENT: Outcome.UNREACHABLE,
    LegEnd.HUNG_UP: Outcome.UNREACHABLE,
    LegEnd.FORWARDED: Outcome.UNREACHABLE,
    LegEnd.FAILED: Outcome.UNREACHABLE,
    LegEnd.LOST: Outcome.LOST,
}


def find(legs: Iterable[Leg], wanted: LegId) -> Leg | None:
    """The leg of that id which has not ended, or None."""
    return next((leg for leg in legs if leg.id == wanted and leg.stage is not Stage.ENDED), None)


def put(place: Ringing, leg: Leg) -> Ringing:
    """The place with `leg` instead of its former self."""
    return Ringing(tuple(leg if old.id == leg.id else old for old in place.legs))


def dial(call: Call, event: Offered, plan: Plan) -> tuple[Step, tuple[Leg, ...]]:
    """The commands that ring every device of the offer, and its new legs."""
    targets = [(offer.agent, target) for offer in event.offers for target in offer.targets]
    until_at = after(event.at, plan.ring_s)
    legs = []
    step = Step(replace(call, legs_made=call.legs_made + len(targets)))
    for n, (agent, target) in enumerate(targets, start=call.legs_made + 1):
        leg = Leg(LegId(call.id, target.device, n), agent, target.confirm, event.at, until_at)
        legs.append(leg)
        step = step.ask(_ring(call, leg, target.endpoint, plan))
    return step, tuple(legs)


def _ring(call: Call, leg: Leg, endpoint: str, plan: Plan) -> Ring:
    return Ring(
        call=call.id,
        leg=leg.id,
        endpoint=endpoint,
        caller_number=call.caller_number,
        caller_name=call.caller_name,
        timeout_s=plan.ring_s + NET_S,
        until_at=leg.until_at,
    )


def outcome(leg: Leg, end: LegEnd) -> Outcome:
    """What the leg's end means: a refusal of a phone that rang is a person's (design.md 5)."""
    return (_BEFORE_RINGING if leg.stage is Stage.DIALLED else _AFTER_RINGING)[end]


def verdict(legs: Iterable[Leg], agent: int) -> Outcome | None:
    """How the offer to the agent ended, or None while one of the agent's devices may answer."""
    outcomes = [leg.outcome for leg in legs if leg.agent == agent]
    if Outcome.DECLINED in outcomes:
        return Outcome.DECLINED
    if None in outcomes:
        return None
    return next(telling for telling in _TELLING if telling in outcomes)


def timed_out(legs: Iterable[Leg]) -> tuple[Leg, ...]:
    """The legs as if those that did not end had just said nothing."""
    return tuple(replace(leg, outcome=leg.outcome or outcome(leg, LegEnd.SILENT)) for leg in legs)


def of_closing(call: Call, event: Event) -> Step | None:
    """The step if the event is about a leg in `closing`, else None."""
    if not isinstance(event, LegRang | LegAnswered | LegDigit | LegEnded):
        return None
    closing = next((c for c in call.closing if c.leg == event.leg), None)
    if closing is None:
        return None
    if not isinstance(event, LegEnded):
        return Step(call, ignored="the leg is being hung up already")
    step = Step(replace(call, closing=tuple(c for c in call.closing if c is not closing)))
    return free(step, closing.agent, event.at, talked=closing.talked)


def close_again(step: Step, at: int) -> Step:
    """Repeat each hang-up that is overdue; its answer tells if the leg is gone. So the guard."""
    call = step.call
    if call.guard_at is not None and call.guard_at <= at:
        call = replace(call, guard_at=None)
        step = step.ask(Guard(call.id, call.channel, 0))
    late = [c for c in call.closing if c.again_at <= at]
    closing = tuple(
        replace(c, again_at=after(at, CLOSE_S)) if c in late else c for c in call.closing
    )
    commands = (HangUpLeg(call.id, c.leg, HangUpReason.NORMAL) for c in late)
    return replace(step, call=replace(call, closing=closing)).ask(*commands)


def hang_up_stray(step: Step, event: Event) -> Step:
    """A phone that answered a leg we don't hold must not be left in silence."""
    if not isinstance(event, LegAnswered) or find(live_legs(step.call), event.leg):
        return step
    return step.ask(HangUpLeg(event.call, event.leg, HangUpReason.NORMAL))
