"""When we fail a call: the caller goes back to the dialplan, and a talk is left alone."""

from ari_app.core.call import CLOSE_S, Call, Ended, Leaving, Talking, Why, live_legs
from ari_app.core.commands import HangUpReason, LeaveTo
from ari_app.core.events import after
from ari_app.core.plan import Plan
from ari_app.core.step import Step, close

FALLBACK_CONTEXT = "fallback"


def give_back(call: Call, plan: Plan, at: int) -> Step:
    """Send a caller who waits or hears ringing to the dialplan's own fallback for the number.

    A call in a talk bridge is never ejected, whatever fails: its end will be seen.
    """
    if isinstance(call.place, Talking | Leaving | Ended):
        return Step(call, ignored="left as it is after a fault")
    step = close(Step(call), live_legs(call), HangUpReason.NORMAL, at)
    step = step.to(Leaving(Why.FAILED, after(at, CLOSE_S)))
    return step.ask(LeaveTo(call.id, call.channel, FALLBACK_CONTEXT, plan.number or "s"))
