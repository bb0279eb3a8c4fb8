"""The (place, event) pairs in which nothing happens, each with its reason.

A test walks the whole matrix: a pair has a handler or a line here, never both, never neither.
"""

from ari_app.core.call import Connecting, Ended, Leaving, Place, Ringing, Talking, Waiting
from ari_app.core.events import (
    CallArrived,
    CallerLeft,
    Event,
    GuardFailed,
    JoinedTalk,
    LegAnswered,
    LegDigit,
    LegEnded,
    LegRang,
    NobodyFree,
    Offered,
    PhoneBack,
    RoundOver,
    TalkFailed,
)

ARRIVED = "the call is known already"
NO_LEG = "no leg of ours rings now; an answered stray is hung up"
TOO_LATE = "the matcher's word came too late: the call has moved on"
NO_TALK = "no talk is being set up now"
GONE = "the caller is gone"
NO_TALK_TO_GUARD = "no talk could be cut now"
TAKEN = "the call was taken, or is over"

IGNORED: dict[tuple[type, type], str] = {
    (Waiting, CallArrived): ARRIVED,
    (Waiting, LegRang): NO_LEG,
    (Waiting, LegAnswered): NO_LEG,
    (Waiting, LegDigit): NO_LEG,
    (Waiting, LegEnded): NO_LEG,
    (Waiting, JoinedTalk): NO_TALK,
    (Waiting, TalkFailed): NO_TALK,
    (Ringing, CallArrived): ARRIVED,
    (Ringing, RoundOver): "somebody is being rung",
    (Ringing, NobodyFree): "somebody is being rung",
    (Ringing, JoinedTalk): NO_TALK,
    (Ringing, TalkFailed): NO_TALK,
    (Connecting, CallArrived): ARRIVED,
    (Connecting, Offered): TOO_LATE,
    (Connecting, RoundOver): TOO_LATE,
    (Connecting, NobodyFree): TOO_LATE,
    (Connecting, LegRang): "the leg was accepted already",
    (Connecting, LegDigit): "the leg was accepted already",
    (Talking, CallArrived): ARRIVED,
    (Talking, Offered): TOO_LATE,
    (Talking, RoundOver): TOO_LATE,
    (Talking, NobodyFree): TOO_LATE,
    (Talking, LegRang): "the leg was accepted already",
    (Talking, LegAnswered): "somebody else talks; the stray is hung up",
    (Talking, LegDigit): "keys pressed in a talk are for the caller",
    (Talking, JoinedTalk): "they talk already",
    (Talking, TalkFailed): "they talk already",
    (Leaving, CallArrived): ARRIVED,
    (Leaving, Offered): TOO_LATE,
    (Leaving, RoundOver): TOO_LATE,
    (Leaving, NobodyFree): TOO_LATE,
    (Leaving, LegRang): NO_LEG,
    (Leaving, LegAnswered): NO_LEG,
    (Leaving, LegDigit): NO_LEG,
    (Leaving, LegEnded): NO_LEG,
    (Leaving, JoinedTalk): NO_TALK,
    (Leaving, TalkFailed): NO_TALK,
    (Ended, CallArrived): ARRIVED,
    (Ended, CallerLeft): GONE,
    (Ended, Offered): GONE,
    (Ended, RoundOver): GONE,
    (Ended, NobodyFree): GONE,
    (Ended, LegRang): NO_LEG,
    (Ended, LegAnswered): NO_LEG,
    (Ended, LegDigit): NO_LEG,
    (Ended, LegEnded): NO_LEG,
    (Ended, JoinedTalk): GONE,
    (Ended, TalkFailed): GONE,
    (Waiting, GuardFailed): NO_TALK_TO_GUARD,
    (Ringing, GuardFailed): NO_TALK_TO_GUARD,
    (Leaving, GuardFailed): NO_TALK_TO_GUARD,
    (Ended, GuardFailed): NO_TALK_TO_GUARD,
    (Connecting, PhoneBack): TAKEN,
    (Talking, PhoneBack): TAKEN,
    (Leaving, PhoneBack): TAKEN,
    (Ended, PhoneBack): TAKEN,
}


def reason_to_ignore(place: Place, event: Event) -> str:
    """Why nothing happens when `event` meets a call in `place`."""
    return IGNORED[type(place), type(event)]
