"""Every (place, event) pair is either handled or ignored for a reason; none raises."""

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest

from ari_app.core.advance import HANDLERS, advance
from ari_app.core.agent import Outcome
from ari_app.core.call import (
    Call,
    Connecting,
    Ended,
    Leaving,
    Leg,
    Place,
    Ringing,
    Stage,
    Talking,
    Waiting,
    Why,
    live_legs,
    wake_at,
)
from ari_app.core.commands import HangUpLeg, HangUpReason, LegId, RingBack
from ari_app.core.events import (
    CallArrived,
    CallerLeft,
    CommandDone,
    CommandFailed,
    DeadlineReached,
    Event,
    GuardFailed,
    JoinedTalk,
    LegAnswered,
    LegDigit,
    LegEnd,
    LegEnded,
    LegRang,
    NobodyFree,
    Offer,
    Offered,
    PhoneBack,
    RoundOver,
    TalkFailed,
    Target,
)
from ari_app.core.giveback import give_back
from ari_app.core.ignored import IGNORED
from tests.stories import NUMBER, plan

AT = 1_000_000
OURS = LegId(1, 11, 1)
STRANGE = LegId(1, 99, 9)
LEG = Leg(OURS, 1, confirm=False, dialled_at=0, until_at=20 * AT)
PLACES: list[Place] = [
    Waiting(),
    Ringing((LEG,)),
    Connecting(LEG, 5 * AT),
    Talking(LEG),
    Leaving(Why.TALKED, 10 * AT),
    Ended(Why.TALKED, 0),
]
EVENTS: list[Event] = [
    CallArrived(AT, 1, "chan", NUMBER, NUMBER, "", ""),
    CallerLeft(AT, 1),
    Offered(AT, 1, (Offer(2, (Target(21, "PJSIP/bob", confirm=False),)),), ()),
    RoundOver(AT, 1, ()),
    NobodyFree(AT, 1, all_declined=False, verdicts=()),
    LegRang(AT, 1, OURS),
    LegAnswered(AT, 1, OURS),
    LegDigit(AT, 1, OURS, "1"),
    LegEnded(AT, 1, OURS, LegEnd.HUNG_UP),
    JoinedTalk(AT, 1, None),
    TalkFailed(AT, 1, 5 * AT),
    GuardFailed(AT, 1),
    PhoneBack(AT, 1, 1),
    DeadlineReached(AT, 1),
    CommandDone(AT, 1, RingBack(1, "chan"), gone=False),
    CommandFailed(AT, 1, RingBack(1, "chan"), unknown=True, why="timeout"),
]
ANSWERS = {CommandDone, CommandFailed}


def a_call(place: Place) -> Call:
    return Call(1, NUMBER, "chan", "+4917", "Eve", 0, 60 * AT, place, 1)


def test_each_pair_is_handled_or_ignored_for_a_reason_never_both():
    kinds = [kind for kind in get_args(Event) if kind not in ANSWERS]
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    for pair in product(get_args(Place), kinds):
        assert (pair in HANDLERS) != (pair in IGNORED), pair
    assert set(HANDLERS) | set(IGNORED) <= set(product(get_args(Place), kinds))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: type(place).__name__)
def test_no_event_is_too_surprising(place, event):
    step = advance(a_call(place), event, plan("ann", "bob"))
    if step.ignored:
        assert (step.call, step.facts) == (a_call(place), ())
        held = {leg.id for leg in live_legs(a_call(place))}
        stray = isinstance(event, LegAnswered) and event.leg not in held
        assert bool(step.commands) == stray


@pytest.mark.parametrize("place", PLACES, ids=lambda place: type(place).__name__)
def test_a_phone_that_answers_for_nobody_is_hung_up(place):
    step = advance(a_call(place), LegAnswered(AT, 1, STRANGE), plan("ann"))
    assert step.commands == (HangUpLeg(1, STRANGE, HangUpReason.NORMAL),)
    assert step.ignored


@pytest.mark.parametrize(
    "event",
    [
        LegRang(AT, 1, STRANGE),
        LegDigit(AT, 1, STRANGE, "1"),
        LegEnded(AT, 1, STRANGE, LegEnd.HUNG_UP),
    ],
    ids=lambda event: type(event).__name__,
)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: type(place).__name__)
def test_a_leg_that_we_do_not_hold_changes_nothing(place, event):
    step = advance(a_call(place), event, plan("ann"))
    assert (step.call, step.commands, step.facts) == (a_call(place), (), ())
    assert step.ignored


@pytest.mark.parametrize("place", PLACES, ids=lambda place: type(place).__name__)
def test_after_a_deadline_the_next_one_is_later(place):
    call = a_call(place)
    for _ in range(5):
        at = wake_at(call)
        if at is None:
            return
        call = advance(call, DeadlineReached(at, 1), plan("ann")).call
        next_at = wake_at(call)
        assert next_at is None or next_at > at


@pytest.mark.parametrize("place", PLACES, ids=lambda place: type(place).__name__)
def test_an_early_deadline_changes_nothing(place):
    assert advance(a_call(place), DeadlineReached(1, 1), plan("ann")).call == a_call(place)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: type(place).__name__)
def test_a_call_given_back_goes_to_the_fallback_and_a_talk_stays(place):
    step = give_back(a_call(place), plan("ann"), AT)
    if isinstance(place, Talking | Leaving | Ended):
        assert (step.call, step.commands) == (a_call(place), ())
    else:
        assert step.commands[-1].context == "fallback"
        assert step.commands[-1].extension == NUMBER
        assert len(step.call.closing) == len(live_legs(a_call(place)))


def test_a_leg_that_has_ended_is_no_live_leg():
    ended = replace(LEG, stage=Stage.ENDED, outcome=Outcome.BUSY)
    assert live_legs(a_call(Ringing((ended, replace(LEG, id=STRANGE))))) == (
        replace(LEG, id=STRANGE),
    )
