"""After a crash: each unanswered command by its own rule, and callers nobody told us about."""

from ari_app.ari.observe import Observed, SeenChannel
from ari_app.ari.translate import Translator
from ari_app.ari.wire import CallerID
from ari_app.core.call import Call, Leg, Ringing, Stage
from ari_app.core.commands import HangUpLeg as HangUp
from ari_app.core.commands import HangUpReason, LeaveTo, LegId, Ring
from ari_app.core.reconcile import Seen
from ari_app.runtime import recover
from ari_app.store.store import Sent
from tests.stories import NUMBER

LEG = LegId(1, 11, 1)
LEG_CHANNEL = "sl-0000000001-000011-000001"
RING = Sent(5, Ring(1, LEG, "PJSIP/ann", "", "", 25, 9))
LATE = 1_000


def calls(until_at=LATE + 1):
    leg = Leg(LEG, 1, confirm=False, dialled_at=1, until_at=until_at)
    return {1: Call(1, NUMBER, "chan", "", "", 0, 60_000, Ringing((leg,)), 1)}


def seen(callers=("chan",), legs=None):
    return Seen(LATE, LATE, frozenset(callers), legs or {}, {})


def verdict(sent, known, there):
    rest = recover.unfinished([sent], known, there, LATE)
    if rest.again:
        return "again"
    (answer,) = rest.answers
    return type(answer.event).__name__


def test_what_may_be_repeated_is_repeated():
    for command in (HangUp(1, LEG, HangUpReason.NORMAL), LeaveTo(1, "chan", "nobody", "s")):
        assert verdict(Sent(1, command), {}, seen()) == "again"


def test_a_phone_is_rung_again_if_it_does_not_ring_and_the_caller_still_waits():
    assert verdict(RING, calls(), seen()) == "again"


def test_a_phone_that_rings_is_not_rung_again():
    assert verdict(RING, calls(), seen(legs={LEG: Stage.RANG})) == "CommandDone"


def test_a_phone_is_not_rung_for_a_caller_who_left_nor_too_late_nor_for_no_call():
    assert verdict(RING, calls(), seen(callers=())) == "CommandFailed"
    assert verdict(RING, calls(until_at=LATE), seen()) == "CommandFailed"
    assert verdict(RING, {}, seen()) == "CommandFailed"


def test_what_was_observed_in_the_core_s_words():
    observed = Observed(
        {
            "chan": SeenChannel("chan", "Up", in_app=True),
            "gone-on": SeenChannel("gone-on", "Up", in_app=False),
            LEG_CHANNEL: SeenChannel(LEG_CHANNEL, "Ringing", in_app=True),
        },
        {"sl-0000000001-talk": frozenset({"chan", LEG_CHANNEL}), "other": frozenset()},
    )
    found = recover.seen_from(observed, 1, 2)
    assert found == Seen(2, 1, frozenset({"chan"}), {LEG: Stage.RANG}, {1: frozenset({None, LEG})})


def test_a_caller_we_never_heard_of_is_adopted_once():
    translator = Translator("team", lambda number, _: f"+{number}", lambda: 8, {"known": 1})
    observed = Observed(
        {
            id_: SeenChannel(id_, "Ring", True, CallerID("Eve", "4917"), ("in", "4930", "DE"))
            for id_ in ("known", "new")
        },
        {},
    )
    (arrived,) = recover.adopt(observed, translator, "team", 3)
    assert (arrived.call, arrived.channel, arrived.number) == (8, "new", "+4930")
    assert recover.adopt(observed, translator, "team", 4) == []


def test_a_phone_whose_leg_ended_while_we_looked_is_not_rung_again():
    rest = recover.unfinished([RING], calls(), seen(), LATE, left={LEG_CHANNEL})
    (answer,) = rest.answers
    assert (rest.again, type(answer.event).__name__) == ((), "CommandFailed")


def test_callers_whose_leaving_we_missed_are_struck_out_but_not_those_who_just_came():
    callers = {"gone": 1, "here": 2, "gone-on": 3, "new": 7}
    observed = Observed(
        {
            "here": SeenChannel("here", "Up", in_app=True),
            "gone-on": SeenChannel("gone-on", "Up", in_app=False),
        },
        {},
    )
    recover.forget_gone(callers, observed, young_from=7)
    assert callers == {"here": 2, "new": 7}
