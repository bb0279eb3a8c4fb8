"""Ring all: what the caller, the winner and the others see, told call by call."""

from dataclasses import replace

from ari_app.core.call import Connecting, Ringing, Talking, Waiting
from ari_app.core.commands import Guard, HangUpLeg, JoinTalk, Ring
from ari_app.core.events import LegEnd, TalkFailed
from tests.stories import NUMBER, Story, plan


def test_every_phone_rings_and_the_first_to_answer_talks():
    story = Story(plan("ann", "bob", "cat"))
    story.caller_dials()
    story.expect("ring back", "ring ann", "ring bob", "ring cat")
    story.rings("ann", "bob", "cat")
    story.answers("bob")
    story.expect(
        "answer",
        "make talk",
        "join bob",
        "hang up ann: answered elsewhere",
        "hang up cat: answered elsewhere",
    )
    story.enters_talk(None)
    assert isinstance(story.call().place, Connecting)
    story.enters_talk("bob")
    assert isinstance(story.call().place, Talking)
    story.ends("ann")
    story.ends("cat")
    assert story.busy() == ["bob"]
    assert story.outcomes() == [
        ("ann", "answered elsewhere"),
        ("cat", "answered elsewhere"),
        ("bob", "answered"),
    ]


def test_the_agent_hangs_up_and_so_is_the_caller():
    story = Story(plan("ann"))
    story.caller_dials()
    story.they_talk("ann")
    story.asked.clear()
    story.ends("ann")
    story.expect("hang up caller", "end talk")
    assert story.busy() == []
    story.caller_hangs_up()
    assert story.ended() == "answered"


def test_the_caller_hangs_up_and_so_is_the_agent():
    story = Story(plan("ann"))
    story.caller_dials()
    story.they_talk("ann")
    story.asked.clear()
    story.caller_hangs_up()
    story.expect("hang up ann: normal", "end talk")
    assert story.busy() == ["ann"]
    story.ends("ann")
    assert story.busy() == []
    assert story.ended() == "answered"
    assert story.live.agents[1].idle_since_at == story.at


def test_two_answers_in_the_same_instant_are_one_conversation():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.answers("ann")
    story.answers("bob")  # crossed our CANCEL
    story.asked.clear()
    story.enters_talk("ann")
    story.enters_talk(None)
    story.ends("bob")
    story.expect()
    assert story.call().place.leg.agent == 1
    assert story.busy() == ["ann"]


def test_the_caller_gives_up_while_it_rings():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.rings("ann")
    story.asked.clear()
    story.caller_hangs_up()
    story.expect("hang up ann: normal", "hang up bob: normal")
    story.ends("ann")
    story.ends("bob")
    assert story.ended() == "abandoned"
    assert story.outcomes() == [("ann", "caller left"), ("bob", "caller left")]


def test_the_caller_hangs_up_in_the_instant_of_the_answer():
    story = Story(plan("ann"))
    story.caller_dials()
    story.answers("ann")
    story.asked.clear()
    story.caller_hangs_up()
    story.expect("hang up ann: normal", "end talk")
    story.ends("ann")
    assert story.ended() == "abandoned"


def test_a_refusal_after_ringing_is_a_decision_and_before_it_is_busy():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.rings("ann")
    story.refuses("ann")
    story.refuses("bob")
    assert story.outcomes() == [("ann", "declined"), ("bob", "busy")]
    story.expect("ring back", "ring ann", "ring bob", "leave to +493012345@nobody")


def test_when_all_declined_the_caller_is_not_kept():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.rings("ann", "bob")
    story.refuses("ann")
    story.asked.clear()
    story.refuses("bob")
    story.expect("leave to +493012345@nobody")
    story.caller_hangs_up()
    assert story.ended() == "all declined"


def test_nobody_answers_in_time_then_another_round_then_the_fallback():
    story = Story(plan("ann"))
    story.caller_dials()
    story.rings("ann")
    story.asked.clear()
    story.after_s(20).expect("hang up ann: no answer")
    story.ends("ann")
    assert isinstance(story.call().place, Waiting)
    assert story.verdicts() == {"ann": "did not take it in this round"}
    story.after_s(4.9).expect()
    story.after_s(0.1).expect("ring ann")
    story.rings("ann")
    story.after_s(20).expect("hang up ann: no answer")
    story.ends("ann")
    story.after_s(5).expect("ring ann")
    story.after_s(10).expect("hang up ann: no answer", "leave to +493012345@nobody")
    story.caller_hangs_up()
    story.ends("ann")
    assert story.ended() == "no answer"


def test_the_wait_ends_also_between_two_rounds():
    story = Story(plan("ann"))
    story.caller_dials()
    story.ends("ann", LegEnd.LOST)
    story.rings("ann")
    story.after_s(20)
    story.ends("ann")
    story.call()
    story.after_s(5)
    story.rings("ann")
    story.after_s(20)
    story.ends("ann")
    story.after_s(5)
    story.rings("ann")
    story.ends("ann", LegEnd.SILENT)
    story.asked.clear()
    story.after_s(10)
    assert story.say(story.asked[-1]) == "leave to +493012345@nobody"


def test_a_phone_that_never_rang_is_unreachable_and_left_alone_for_a_while():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.rings("bob")
    story.after_s(20)
    assert story.outcomes() == [("ann", "unreachable"), ("bob", "no answer")]


def test_an_unregistered_phone_costs_no_time():
    story = Story(plan("ann"))
    story.caller_dials()
    story.asterisk_refused(Ring)
    assert story.outcomes() == [("ann", "unreachable")]
    story.expect("ring back", "ring ann", "leave to +493012345@nobody")
    story.asterisk_did(type(story.sent[-1].command), gone=True)
    assert story.ended() == "nobody free"


def test_a_phone_that_was_busy_joins_in_when_its_other_call_is_over():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.rings("bob")
    story.refuses("ann")
    story.asked.clear()
    story.after_s(10).expect()
    story.phone_is_free("PJSIP/ann-1")
    story.expect("ring ann")


def test_a_phone_that_does_not_disturb_is_asked_once_a_round():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.rings("bob")
    story.refuses("ann")
    story.asked.clear()
    story.after_s(20).expect("hang up bob: no answer")
    story.ends("bob")
    assert story.verdicts() == {
        "ann": "was busy in this round",
        "bob": "did not take it in this round",
    }
    story.after_s(5).expect("ring ann", "ring bob")


def test_members_who_cannot_be_reached_do_not_hold_up_the_next_round():
    """However long the pause between rounds is, and whoever else rests meanwhile."""
    story = Story(replace(plan("ann", "bob"), retry_s=10, max_wait_s=120))
    story.caller_dials()
    story.rings("ann")
    story.ends("bob", LegEnd.FAILED)
    story.asked.clear()
    story.after_s(20).expect("hang up ann: no answer")
    story.ends("ann")
    story.after_s(9.9).expect()
    story.after_s(0.1).expect("ring ann", "ring bob")


def test_somebody_who_comes_between_two_rounds_does_not_put_off_the_next():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.rings("ann")
    story.ends("bob", LegEnd.FAILED)
    story.after_s(20)
    story.ends("ann")
    story.asked.clear()
    story.after_s(2)
    story.phone_is_free("PJSIP/bob-1")
    story.expect("ring bob")
    story.rings("bob")
    story.after_s(2)
    story.ends("bob", LegEnd.SILENT)
    story.after_s(1).expect("ring ann", "ring bob")


def test_a_guard_that_could_not_be_disarmed_is_disarmed_again():
    story = Story(plan("ann"))
    story.caller_dials()
    story.they_talk("ann")
    story.asterisk_refused(Guard, unknown=True)
    story.after_s(9.9)
    assert story.guards == [0]
    story.after_s(0.1)
    assert story.guards == [0, 0]
    story.after_s(100)
    assert story.guards == [0, 0]


def test_a_phone_that_registers_joins_in_at_once():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.rings("bob")
    story.ends("ann", LegEnd.FAILED)
    story.asked.clear()
    story.phone_is_free("PJSIP/ann-1")
    story.expect("ring ann")
    story.phone_is_free("PJSIP/ann-1")
    story.phone_is_free("PJSIP/stranger")
    story.expect()


def test_a_forward_is_not_followed():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.rings("ann", "bob")
    story.ends("ann", LegEnd.FORWARDED)
    assert story.outcomes() == [("ann", "unreachable")]
    assert isinstance(story.call().place, Ringing)


def test_both_devices_of_an_agent_ring_and_one_answer_is_one_agent():
    story = Story(plan("ann", "bob", devices={"ann": 2}))
    story.caller_dials()
    story.expect("ring back", "ring ann", "ring ann/2", "ring bob")
    story.answers("ann/2")
    story.expect(
        "answer",
        "make talk",
        "join ann/2",
        "hang up ann: answered elsewhere",
        "hang up bob: answered elsewhere",
    )
    story.enters_talk(None)
    story.enters_talk("ann/2")
    story.ends("ann")
    story.ends("bob")
    story.ends("ann/2")
    story.caller_hangs_up()
    assert story.ended() == "answered"
    assert story.outcomes() == [("bob", "answered elsewhere"), ("ann", "answered")]


def test_an_agent_is_free_only_when_the_last_device_has_ended():
    story = Story(plan("ann", devices={"ann": 2}))
    story.caller_dials()
    story.they_talk("ann/2")
    story.ends("ann/2")
    assert story.busy() == ["ann"]
    story.ends("ann")
    assert story.busy() == []


def test_declining_on_one_device_declines_for_the_person():
    story = Story(plan("ann", "bob", devices={"ann": 2}))
    story.caller_dials()
    story.rings("ann", "ann/2", "bob")
    story.asked.clear()
    story.refuses("ann/2")
    story.expect("hang up ann: no answer")
    assert story.outcomes() == [("ann", "declined")]


def test_a_busy_desk_phone_does_not_silence_the_softphone():
    story = Story(plan("ann", devices={"ann": 2}))
    story.caller_dials()
    story.refuses("ann")
    story.rings("ann/2")
    assert story.outcomes() == []
    story.ends("ann/2", LegEnd.SILENT)
    assert story.outcomes() == [("ann", "no answer")]


def test_one_device_ended_and_the_other_rings_too_long():
    story = Story(plan("ann", devices={"ann": 2}))
    story.caller_dials()
    story.refuses("ann")
    story.rings("ann/2")
    story.asked.clear()
    story.after_s(20).expect("hang up ann/2: no answer")
    assert story.outcomes() == [("ann", "no answer")]


def test_the_second_caller_waits_while_everybody_rings_for_the_first():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.asked.clear()
    second = story.caller_dials()
    story.expect("ring back")
    story.they_talk("ann", call=1)
    story.asked.clear()
    story.ends("bob", call=1)
    story.expect("ring bob")
    assert story.leg("bob", second).call == second


def test_a_member_freed_while_it_rings_joins_in():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.they_talk("ann")
    story.ends("bob")
    second = story.caller_dials()
    story.asked.clear()
    story.ends("ann", call=1)
    story.expect("hang up caller", "end talk", "ring ann")
    assert story.leg("ann", second).call == second
    assert len(story.call(second).place.legs) == 2


def test_all_are_talking_so_the_next_caller_gets_the_fallback_at_once():
    story = Story(plan("ann"))
    story.caller_dials()
    story.they_talk("ann")
    story.asked.clear()
    second = story.caller_dials()
    story.expect("ring back", "leave to +493012345@nobody")
    assert story.verdicts() == {"ann": "in a call"}
    story.caller_hangs_up(second)
    assert story.ended(second) == "nobody free"


def test_a_number_that_is_not_ours_is_said_so():
    story = Story(plan("ann"))
    story.caller_dials("+4999")
    story.expect("leave to s@unknown")
    story.caller_hangs_up()
    assert story.ended() == "unknown number"


def test_members_who_cannot_ring_are_named_in_the_verdicts():
    story = Story(plan("ann", "bob", devices={"ann": 0}, not_ringing=("bob",)))
    story.caller_dials()
    assert story.verdicts() == {"ann": "has no phone", "bob": "does not ring for this number"}


def test_the_talk_cannot_be_set_up_and_the_caller_waits_on():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.answers("ann")
    story.ends("bob")
    story.asked.clear()
    story.asterisk_refused(JoinTalk)
    story.expect("hang up ann: normal", "end talk", "ring back", "ring bob")
    assert story.outcomes() == [("bob", "answered elsewhere"), ("ann", "dropped")]
    story.ends("ann")
    story.they_talk("bob")
    story.asked.clear()
    story.ends("bob")
    story.caller_hangs_up()
    assert story.ended() == "answered"


def test_a_caller_is_answered_only_once():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.answers("ann")
    story.ends("bob")
    story.talk_fails()
    story.asked.clear()
    story.answers("bob")
    story.expect("make talk", "join bob")


def test_one_of_them_never_comes_into_the_bridge():
    story = Story(plan("ann"))
    story.caller_dials()
    story.answers("ann")
    story.enters_talk("ann")
    story.asked.clear()
    story.after_s(5).expect("hang up ann: normal", "end talk", "ring back")


def test_the_agent_hangs_up_before_the_talk():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.answers("ann")
    story.ends("bob")
    story.asked.clear()
    story.ends("ann")
    story.expect("end talk", "ring back", "ring bob")
    assert ("ann", "dropped") in story.outcomes()


def test_a_hang_up_that_is_not_seen_is_asked_for_again():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.they_talk("ann")
    story.asked.clear()
    story.after_s(10).expect("hang up bob: normal")
    story.asterisk_did(HangUpLeg, gone=True)
    assert story.busy() == ["ann"]


def test_a_caller_that_does_not_leave_is_hung_up_again():
    story = Story(plan("ann"))
    story.caller_dials()
    story.they_talk("ann")
    story.ends("ann")
    story.asked.clear()
    story.after_s(10).expect("hang up caller")
    story.after_s(10).expect("hang up caller")


def test_a_caller_who_was_sent_to_the_fallback_is_never_hung_up_on():
    story = Story(plan("ann"))
    story.caller_dials()
    story.ends("ann", LegEnd.FAILED)
    story.asked.clear()
    story.after_s(10).expect(f"leave to {NUMBER}@nobody")
    story.after_s(10).expect(f"leave to {NUMBER}@nobody")


def test_a_leg_of_an_ended_call_is_hung_up_again():
    story = Story(plan("ann"))
    story.caller_dials()
    story.caller_hangs_up()
    story.asked.clear()
    story.after_s(10).expect("hang up ann: normal")
    story.ends("ann")
    assert story.ended() == "abandoned"


def test_an_answer_without_a_known_leg_is_hung_up():
    story = Story(plan("ann"))
    story.caller_dials()
    leg = story.leg("ann")
    story.ends("ann", LegEnd.FAILED)
    story.asked.clear()
    story.answers("ann")
    story.expect("hang up ann: normal")
    assert story.leg("ann") == leg


def test_a_mobile_takes_the_call_only_when_1_is_pressed():
    story = Story(plan("ann", "bob", confirm=("ann",)))
    story.caller_dials()
    story.rings("ann", "bob")
    story.asked.clear()
    story.answers("ann")
    story.presses("ann", "5")
    story.expect()
    story.presses("ann", "1")
    story.expect("answer", "make talk", "join ann", "hang up bob: answered elsewhere")


def test_a_mobile_s_voicemail_never_answers_for_the_team():
    story = Story(plan("ann", "bob", confirm=("ann",)))
    story.caller_dials()
    story.rings("ann", "bob")
    story.answers("ann")
    story.ends("ann")
    assert story.outcomes() == [("ann", "no answer")]
    story.they_talk("bob")
    assert story.busy() == ["bob"]


def test_after_an_absence_both_are_there_but_not_together():
    story = Story(plan("ann"))
    story.caller_dials()
    story.answers("ann")
    story.asked.clear()
    story.after_s(3)
    story.answers("ann")  # as told by reconcile
    story.expect("make talk", "join ann")
    story.happens(TalkFailed(story.at, 1, until_at=story.at))  # the first attempt, too late
    story.after_s(4).expect()
    story.enters_talk(None)
    story.enters_talk("ann")
    assert isinstance(story.call().place, Talking)


def test_the_guard_is_off_before_a_talk_and_before_the_caller_goes_on():
    story = Story(plan("ann"))
    story.caller_dials()
    assert story.guards == []  # the dialplan has set it
    story.answers("ann")
    assert story.guards == [0]
    story.talk_fails()
    assert story.guards == [0, 60 + 60]
    story.after_s(60)
    assert story.guards == [0, 60 + 60, 0]
