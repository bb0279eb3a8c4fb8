"""What the answer to a command means for the call, as the event it amounts to.

An answer that never came (`unknown`) amounts to nothing: the command may have taken effect, and
then an event says so; otherwise a deadline of the call does. Whether caller and agent come together
is judged by `JoinTalk` alone, the last of the commands that set up a talk.
"""

from ari_app.core.commands import Guard, HangUpCaller, HangUpLeg, JoinTalk, LeaveTo, Ring
from ari_app.core.events import (
    CallerLeft,
    CommandDone,
    CommandFailed,
    Event,
    GuardFailed,
    LegEnd,
    LegEnded,
    TalkFailed,
)


def meaning(event: Event) -> Event | None:  # noqa: PLR0911 - a table
    """The event itself, or for a command's answer what it amounts to; None if nothing."""
    match event:
        case CommandDone(at, call, HangUpLeg(leg=leg), gone=True):
            return LegEnded(at, call, leg, LegEnd.HUNG_UP)
        case CommandDone(at, call, HangUpCaller() | LeaveTo(), gone=True):
            return CallerLeft(at, call)
        case CommandFailed(at, call, Ring(leg=leg), unknown=False):
            return LegEnded(at, call, leg, LegEnd.FAILED)
        case CommandDone(at, call, JoinTalk(until_at=until_at), gone=True) | CommandFailed(
            at, call, JoinTalk(until_at=until_at), unknown=False
        ):
            return TalkFailed(at, call, until_at)
        case CommandFailed(at, call, Guard(after_s=0)):
            return GuardFailed(at, call)
        case CommandDone() | CommandFailed():
            return None
        case _:
            return event
