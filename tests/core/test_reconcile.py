"""What we missed while away, told as events; what is younger than the look is not judged."""

from dataclasses import replace

from ari_app.core.call import Call, Closing, Connecting, Ended, Leg, Ringing, Stage, Talking, Why
from ari_app.core.commands import EndTalk, HangUpLeg, HangUpReason, LegId
from ari_app.core.events import CallerLeft, JoinedTalk, LegAnswered, LegEnd, LegEnded, LegRang
from ari_app.core.reconcile import Seen, reconcile, strays
from tests.stories import NUMBER

AT, SINCE = 2_000, 1_000
ANN = LegId(1, 11, 1)
LEG = Leg(ANN, 1, confirm=False, dialled_at=500, until_at=9_000)
UP = replace(LEG, stage=Stage.ANSWERED)


def seen(callers=("chan",), legs=None, talks=None):
    return Seen(AT, SINCE, frozenset(callers), legs or {}, talks or {})


def a_call(place, closing=()):
    return Call(1, NUMBER, "chan", "", "", 100, 60_000, place, 1, closing)


def test_nothing_happened():
    call = a_call(Ringing((LEG,)))
    assert reconcile([call], seen(legs={ANN: Stage.DIALLED})) == ()


def test_the_caller_hung_up():
    call = a_call(Talking(UP))
    assert reconcile([call], seen(callers=(), legs={ANN: Stage.ANSWERED})) == (CallerLeft(AT, 1),)


def test_a_caller_who_had_left_is_not_missed_again():
    assert reconcile([a_call(Ended(Why.TALKED, 50))], seen(callers=())) == ()


def test_the_agent_hung_up():
    assert reconcile([a_call(Talking(UP))], seen()) == (LegEnded(AT, 1, ANN, LegEnd.LOST),)


def test_the_phone_rang_or_answered():
    call = a_call(Ringing((LEG,)))
    assert reconcile([call], seen(legs={ANN: Stage.RANG})) == (LegRang(AT, 1, ANN),)
    assert reconcile([call], seen(legs={ANN: Stage.ANSWERED})) == (LegAnswered(AT, 1, ANN),)


def test_they_came_into_the_bridge():
    call = a_call(Connecting(UP, 9_000))
    there = seen(legs={ANN: Stage.ANSWERED}, talks={1: frozenset({None, ANN})})
    assert set(reconcile([call], there)) == {JoinedTalk(AT, 1, None), JoinedTalk(AT, 1, ANN)}


def test_both_are_there_but_not_together():
    call = a_call(Connecting(UP, 9_000))
    there = seen(legs={ANN: Stage.ANSWERED}, talks={1: frozenset({None})})
    assert reconcile([call], there) == (LegAnswered(AT, 1, ANN),)
    assert CallerLeft(AT, 1) in reconcile([call], seen(callers=(), legs={ANN: Stage.ANSWERED}))


def test_a_leg_that_was_closing_is_gone_or_not_yet():
    call = a_call(Ended(Why.TALKED, 50), closing=(Closing(ANN, 1, talked=True, again_at=9_000),))
    assert reconcile([call], seen()) == (LegEnded(AT, 1, ANN, LegEnd.HUNG_UP),)
    assert reconcile([call], seen(), frozenset({ANN})) == ()
    assert reconcile([call], seen(legs={ANN: Stage.ANSWERED})) == ()


def test_what_is_younger_than_the_look_or_on_its_way_is_not_judged():
    young_leg = a_call(Ringing((replace(LEG, dialled_at=SINCE),)))
    assert reconcile([young_leg], seen()) == ()
    assert reconcile([a_call(Ringing((LEG,)))], seen(), frozenset({ANN})) == ()
    young_call = replace(a_call(Talking(UP)), arrived_at=SINCE)
    assert reconcile([young_call], seen(callers=())) == ()


def test_a_phone_whose_ring_was_on_its_way_when_the_look_began_is_not_judged():
    look = replace(seen(), on_their_way=frozenset({ANN}))
    assert reconcile([a_call(Ringing((LEG,)))], look) == ()


def test_a_talk_that_is_being_set_up_since_the_look_began_is_not_judged():
    young = Connecting(UP, SINCE + 5_000_000)
    assert reconcile([a_call(young)], seen(legs={ANN: Stage.ANSWERED})) == ()


def test_what_no_call_holds_is_cleared_away():
    lone = LegId(7, 11, 1)
    there = seen(legs={ANN: Stage.RANG, lone: Stage.RANG}, talks={1: frozenset(), 7: frozenset()})
    found = strays([a_call(Ringing((LEG,)))], there)
    assert found == (HangUpLeg(7, lone, HangUpReason.NORMAL), EndTalk(7))
    assert strays([a_call(Ringing((LEG,)))], there, aside=frozenset({7})) == ()
