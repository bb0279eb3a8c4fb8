"""Deadlines: one a subject, the earliest first, moved ones forgotten."""

from hypothesis import given
from hypothesis.strategies import integers, lists, none, tuples

from ari_app.runtime.clock import Deadlines, system_clock


def test_the_earliest_comes_first_and_only_once():
    deadlines = Deadlines()
    deadlines.put(("call", 1), 30)
    deadlines.put(("agent", 1), 10)
    assert deadlines.next_at() == 10
    assert deadlines.due(30) == [("agent", 1), ("call", 1)]
    assert deadlines.due(30) == []
    assert deadlines.next_at() is None


def test_a_moved_deadline_counts_where_it_was_moved_to():
    deadlines = Deadlines()
    deadlines.put(("call", 1), 10)
    deadlines.put(("call", 1), 20)
    assert deadlines.due(10) == []
    deadlines.put(("call", 1), None)
    assert deadlines.next_at() is None


def test_a_subject_may_have_a_new_deadline_after_its_last():
    deadlines = Deadlines()
    deadlines.put(("call", 1), 10)
    assert deadlines.due(10) == [("call", 1)]
    deadlines.put(("call", 1), 10)
    assert deadlines.due(10) == [("call", 1)]


@given(lists(tuples(integers(1, 5), none() | integers(0, 50))), integers(0, 60))
def test_like_a_dictionary(changes, at):
    deadlines, model = Deadlines(), {}
    for id_, when in changes:
        deadlines.put(("call", id_), when)
        model[id_] = when
    model = {id_: when for id_, when in model.items() if when is not None}
    assert deadlines.next_at() == min(model.values(), default=None)
    due = {id_ for _, id_ in deadlines.due(at)}
    assert due == {id_ for id_, when in model.items() if when <= at}


def test_the_system_s_clock_counts_microseconds_of_this_century():
    assert 1_700_000_000_000_000 < system_clock() < 4_000_000_000_000_000
