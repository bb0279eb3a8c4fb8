"""In order: one at a time, by position, without a gap."""

from ari_app.core.plan import Strategy
from tests.stories import Story, plan

IN_ORDER = Strategy.IN_ORDER


def test_the_next_rings_with_no_gap():
    story = Story(plan("ann", "bob", "cat", strategy=IN_ORDER))
    story.caller_dials()
    story.expect("ring back", "ring ann")
    story.rings("ann")
    story.after_s(20).expect("hang up ann: no answer", "ring bob")
    story.ends("ann")
    story.rings("bob")
    story.refuses("bob")
    story.expect("ring cat")


def test_the_ineligible_are_skipped_at_once():
    story = Story(plan("ann", "bob", strategy=IN_ORDER))
    story.caller_dials()
    story.they_talk("ann", call=1)
    story.asked.clear()
    second = story.caller_dials()
    story.expect("ring back", "ring bob")
    assert story.leg("bob", second).call == second


def test_who_missed_it_comes_last_in_the_next_round():
    story = Story(plan("ann", "bob", strategy=IN_ORDER))
    story.caller_dials()
    story.rings("ann")
    story.after_s(20)
    story.ends("ann")
    story.refuses("bob")  # busy: rests, and was not really asked
    story.asked.clear()
    story.after_s(5).expect("ring bob")
    story.rings("bob")
    story.after_s(20)
    story.ends("bob")
    assert story.outcomes() == [("ann", "no answer"), ("bob", "busy"), ("bob", "no answer")]


def test_while_one_rings_a_freed_member_does_not_join_in():
    story = Story(plan("ann", "bob", strategy=IN_ORDER))
    story.caller_dials()
    story.they_talk("ann")
    story.caller_dials()
    story.asked.clear()
    story.ends("ann", call=1)
    story.expect("hang up caller", "end talk")
