"""What a call does when something happens to it. Start here.

`advance(call, event, plan)` finds the handler of (place, event) and returns its `Step`. It never
raises on a surprising event: races are normal in telephony, and each pair that is ignored stands
in `ignored.py` with its reason. The handlers follow in call order: `ringing.py` while nobody has
taken the call, `talking.py` from the answer on.
"""

from ari_app.core import legs, ringing, talking
from ari_app.core.call import Call, Waiting, Why
from ari_app.core.commands import RingBack
from ari_app.core.events import CallArrived, Event, after
from ari_app.core.handlers import HANDLERS, leave
from ari_app.core.ignored import reason_to_ignore
from ari_app.core.plan import UNKNOWN_NUMBER, Plan
from ari_app.core.results import meaning
from ari_app.core.step import Step

__all__ = ["HANDLERS", "advance", "arrive", "ringing", "talking"]


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
        return leave(Step(call), plan.fallback, Why.UNKNOWN_NUMBER, event.at)
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
