"""When we fail a call: the caller goes back to the dialplan, and a talk is left alone."""

from ari_app.core.call import Call, Ended, Leaving, Talking, Why, live_legs
from ari_app.core.commands import HangUpReason
from ari_app.core.handlers import leave
from ari_app.core.plan import Exit, Plan
from ari_app.core.step import Step, close

FALLBACK_CONTEXT = "fallback"


def give_back(call: Call, plan: Plan, at: int) -> Step:
    """Send a caller who waits or hears ringing to the dialplan's own fallback for the number.

    A call in a talk bridge is never ejected, whatever fails: its end will be seen.
    """
    if isinstance(call.place, Talking | Leaving | Ended):
        return Step(call, ignored="left as it is after a fault")
    step = close(Step(call), live_legs(call), HangUpReason.NORMAL, at)
    return leave(step, Exit(FALLBACK_CONTEXT, plan.number or "s"), Why.FAILED, at)
