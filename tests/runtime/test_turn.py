"""A turn: an overlay that costs nothing when it is dropped, and faults that stay with one call."""

from dataclasses import replace

from ari_app.core.call import Stage
from ari_app.core.commands import EndTalk, Guard, HangUpLeg, HangUpReason, LeaveTo, LegId
from ari_app.core.events import CallArrived, CallerLeft, LegAnswered
from ari_app.core.plan import Exit
from ari_app.core.reconcile import Seen
from ari_app.runtime.happenings import Observed
from ari_app.runtime.turn import Turn, _related
from tests.stories import NUMBER, Story, plan, with_number


def arrives(story, call=1):
    return CallArrived(story.at, call, f"c{call}", NUMBER, NUMBER, "+4917", "Eve")


def test_a_turn_that_is_not_applied_has_changed_nothing():
    story = Story(plan("ann"))
    batches = []
    for _ in range(2):
        turn = Turn(story.live, story.directory, story.at)
        turn.take(arrives(story))
        turn.match()
        batches.append(turn.batch())
    assert batches[0] == batches[1]
    assert story.live.calls == {}
    assert story.live.agents[1].reserved_by is None


def test_many_things_in_one_turn_are_one_version():
    story = Story(plan("ann"))
    story.happens(arrives(story), CallerLeft(story.at, 1))
    assert story.ended() == "abandoned"
    assert story.over[1].version == 1
    story.expect("ring back")


def test_a_fault_of_ours_gives_back_that_call_and_no_other():
    story = Story(plan("ann"))
    story.caller_dials()
    broken = replace(story.live.calls[1], place="no place at all")
    story.live.calls[1] = broken
    turn = Turn(story.live, story.directory, story.at)
    turn.take(CallerLeft(story.at, 1))
    turn.take(arrives(story, 2))
    turn.match()
    assert [type(fault.error) for fault in turn.faults] == [KeyError]
    told = [sent.command for sent in turn.batch().outbox if sent.command.call == 1]
    assert told == [Guard(1, "chan-1", 0), LeaveTo(1, "chan-1", "fallback", NUMBER)]
    assert turn.calls[2].number == NUMBER


def test_an_answer_for_a_call_that_is_over_is_hung_up():
    story = Story(plan("ann"))
    leg = LegId(9, 11, 1)
    story.happens(LegAnswered(story.at, 9, leg))
    assert story.asked == [HangUpLeg(9, leg, HangUpReason.NORMAL)]


def test_what_was_seen_is_reconciled_and_strays_are_cleared():
    story = Story(plan("ann"))
    story.caller_dials()
    story.asterisk_did(type(story.sent[1].command))
    story.asked.clear()
    story.at += 10
    seen = Seen(story.at, story.at - 1, frozenset(), {}, {5: frozenset()})
    story.happens(Observed(seen))
    assert story.ended() == "abandoned"
    assert story.asked == [EndTalk(5)]


def test_a_call_keeps_the_plan_it_arrived_with():
    story = Story(plan("ann"))
    story.caller_dials()
    changed = replace(plan("ann", "bob", version=2), fallback=Exit("other", "1"))
    story.settings_become(changed)
    story.asked.clear()
    story.rings("ann")
    story.refuses("ann")
    story.expect(f"leave to {NUMBER}@nobody")
    story.caller_dials()
    assert story.call(2).plan_version == 2


def test_a_removed_agent_is_not_rung_any_more():
    story = Story(plan("ann", "bob"), with_number(plan("ann"), "+49301"))
    story.caller_dials()
    story.rings("ann", "bob")
    story.settings_become(plan("bob", version=2))
    story.after_s(20)
    story.ends("ann")
    story.ends("bob")
    story.asked.clear()
    story.after_s(5).expect("ring bob")


def test_a_call_that_arrives_twice_is_one_call():
    story = Story(plan("ann"))
    story.happens(arrives(story), arrives(story))
    assert [type(record.event).__name__ for record in story.records].count("CallArrived") == 2
    assert len(story.live.calls) == 1
    story.expect("ring back", "ring ann")


def test_while_we_are_blind_no_deadline_is_kept_and_then_the_look_comes_first():
    story = Story(plan("ann"))
    story.caller_dials()
    story.answers("ann")
    story.mind.lose_sight()
    story.asked.clear()
    story.after_s(10).expect()
    leg = story.leg("ann")
    seen = Seen(
        story.at,
        story.at - 1,
        frozenset({"chan-1"}),
        {leg: Stage.ANSWERED},
        {1: frozenset({None, leg})},
    )
    story.happens(Observed(seen, story.mind.sight - 1))
    assert story.mind.blind  # a look from before
    story.happens(Observed(seen, story.mind.sight))
    assert not story.mind.blind
    story.after_s(10).expect()
    assert type(story.call().place).__name__ == "Talking"


def test_numbers_that_share_agents_have_one_line_also_through_others():
    """Cat is freed on the third number; who waits longest for Ann on the first is served first."""
    first, second, third = NUMBER, "+49302", "+49303"
    story = Story(
        plan("ann"), with_number(plan("ann", "bob"), second), with_number(plan("bob"), third)
    )
    related = _related(story.directory.config.plans.values(), {third}, ())
    assert related == {(first, 1), (second, 1), (third, 1)}
    assert _related(story.directory.config.plans.values(), (), {1}) == related
    assert _related(story.directory.config.plans.values(), (), {9}) == set()


def test_who_came_before_a_change_of_members_still_gets_the_former_ones():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.they_talk("ann")
    story.ends("bob")
    story.caller_dials()
    story.rings("bob", call=2)
    story.settings_become(plan("cat", version=2), with_number(plan("ann", "bob"), "+49301"))
    story.asked.clear()
    story.ends("ann", call=1)
    story.expect("hang up caller", "end talk", "ring ann")
