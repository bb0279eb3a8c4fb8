"""What the answer to a command means for the call, as the event it amounts to."""

from ari_app.core.commands import (
    AnswerCaller,
    HangUpCaller,
    HangUpLeg,
    JoinTalk,
    LeaveTo,
    MakeTalk,
    Ring,
)
from ari_app.core.events import (
    CallerLeft,
    CommandDone,
    CommandFailed,
    Event,
    LegEnd,
    LegEnded,
    TalkFailed,
)


def meaning(event: Event) -> Event | None:
    """The event itself, or for a command's answer what it amounts to; None if nothing."""
    match event:
        case CommandDone(gone=False):
            return None
        case CommandDone(at, call, HangUpLeg(leg=leg)):
            return LegEnded(at, call, leg, LegEnd.HUNG_UP)
        case CommandDone(at, call, HangUpCaller() | LeaveTo()):
            return CallerLeft(at, call)
        case CommandFailed(at, call, Ring(leg=leg), unknown=False):
            return LegEnded(at, call, leg, LegEnd.FAILED)
        case CommandDone(at, call, command) | CommandFailed(at, call, command):
            is_talk = isinstance(command, AnswerCaller | MakeTalk | JoinTalk)
            return TalkFailed(at, call) if is_talk else None
        case _:
            return event
