"""The table of handlers, and how one gets into it."""

from collections.abc import Callable
from typing import Any, TypeVar

from ari_app.core.call import CLOSE_S, Call, Leaving, Why
from ari_app.core.commands import Guard, LeaveTo
from ari_app.core.events import after
from ari_app.core.plan import Exit, Plan
from ari_app.core.step import Step

P = TypeVar("P")
E = TypeVar("E")
Handler = Callable[[Call, P, E, Plan], Step]
HANDLERS: dict[tuple[type, type], Handler[Any, Any]] = {}


def on(place: type[P], event: type[E]) -> Callable[[Handler[P, E]], Handler[P, E]]:
    """The decorated function is what a call in `place` does at `event`."""

    def register(handler: Handler[P, E]) -> Handler[P, E]:
        HANDLERS[place, event] = handler
        return handler

    return register


def leave(step: Step, to: Exit, why: Why, at: int) -> Step:
    """Send the caller on into the dialplan."""
    call = step.call
    step = step.to(Leaving(why, after(at, CLOSE_S), to))
    leaves = LeaveTo(call.id, call.channel, to.context, to.extension)
    return step.ask(Guard(call.id, call.channel, 0), leaves)
