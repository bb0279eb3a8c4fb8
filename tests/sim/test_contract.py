"""The dictionaries keep the promises of the real store: one set of tests for both."""

from dataclasses import replace

import pytest

from ari_app.core.agent import Agent, Attempted, Outcome
from ari_app.core.call import Call, Ended, Leaving, Waiting, Why
from ari_app.core.commands import AnswerCaller, RingBack
from ari_app.core.events import CallerLeft
from ari_app.sim.memory import DiskStore, MemoryStore
from ari_app.sim.script import NUMBERS
from ari_app.sim.story import make_plan, office
from ari_app.store.engine import StoreError
from ari_app.store.store import Batch, LostRaceError, Record, Sent

WAITING = Call(1, NUMBERS[0], "chan", "+4917", "Eve", 100, 60_000, Waiting(), 1, version=1)
RING_BACK = RingBack(1, "chan")


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryStore(office())
        return
    store = DiskStore(office(), tmp_path)
    yield store
    store.close()


@pytest.fixture
def ready(store):
    store.take_over()
    store.read_config(at=7)
    return store


def batch(**parts):
    return Batch(at=500, **parts)


def whole_call(version=1):
    return replace(WAITING, version=version)


def test_the_office_reads_the_same(store):
    config, agents = store.read_config(at=7)
    assert config == office()
    assert agents == {id_: Agent(id_, idle_since_at=7) for id_ in range(1, 6)}
    assert store.read_config(at=8) == (config, agents)


def test_changed_settings_are_a_new_version_and_unchanged_ones_are_not(ready):
    ready.change(make_plan(NUMBERS[0], (2, 5), ring_s=8))
    config, _ = ready.read_config(at=8)
    assert config.plans[NUMBERS[0]] == replace(make_plan(NUMBERS[0], (2, 5), 8), version=2)
    assert config.plans[NUMBERS[1]].version == 1
    ready.change(make_plan(NUMBERS[0], (2, 5), ring_s=8))
    assert ready.read_config(at=9)[0] == config


def test_two_changes_before_they_are_read_are_one_version(ready):
    ready.change(make_plan(NUMBERS[0], (2,)))
    ready.change(make_plan(NUMBERS[0], (4, 1)))
    plan = ready.read_config(at=8)[0].plans[NUMBERS[0]]
    assert (plan.version, [member.agent for member in plan.members]) == (2, [4, 1])


def test_what_was_committed_is_loaded(ready):
    record = Record(CallerLeft(9, 1), "Waiting", "Waiting", "", (RING_BACK,))
    ready.commit(
        batch(
            calls=[(WAITING, None)],
            agents=[(Agent(1, reserved_by=1), Agent(1))],
            attempts=[Attempted(9, 1, 1, 1, Outcome.BUSY, 5)],
            records=[record],
            outbox=[Sent(4, RING_BACK), Sent(5, AnswerCaller(1, "chan"))],
        )
    )
    ready.commit(batch(done=[4]))
    loaded = ready.load()
    assert loaded.calls == (WAITING,)
    assert loaded.agents[1] == Agent(1, reserved_by=1)
    assert loaded.plans == {(NUMBERS[0], 1): office().plans[NUMBERS[0]]}
    assert loaded.unanswered == (Sent(5, AnswerCaller(1, "chan")),)
    assert (loaded.next_call, loaded.next_sent) == (2, 6)
    ((call, at, event, before, after, ignored, *_),) = ready.journal()
    assert (call, at, event) == (1, 9, "CallerLeft")
    assert (before, after, ignored) == ("Waiting", "Waiting", "")


def test_a_call_keeps_the_plan_it_arrived_with(ready):
    ready.commit(batch(calls=[(WAITING, None)]))
    ready.change(make_plan(NUMBERS[0], (5,)))
    ready.read_config(at=8)
    assert ready.load().plans == {(NUMBERS[0], 1): office().plans[NUMBERS[0]]}


def test_nothing_was_there_before(ready):
    loaded = ready.load()
    assert (loaded.calls, dict(loaded.plans), loaded.unanswered) == ((), {}, ())
    assert (loaded.next_call, loaded.next_sent) == (1, 1)


def test_a_call_that_is_over_is_in_the_history_alone(ready):
    over = replace(whole_call(2), place=Ended(Why.ABANDONED, 900))
    ready.commit(batch(calls=[(WAITING, None)]))
    ready.commit(batch(calls=[(over, WAITING)]))
    assert ready.load().calls == ()
    left = ready.left()
    assert (left.live, left.over) == ((), (over,))
    assert ready.load().next_call == 2


def test_a_call_may_come_and_go_in_one_batch(ready):
    over = replace(WAITING, place=Ended(Why.ABANDONED, 900))
    ready.commit(batch(calls=[(over, None)]))
    assert (ready.load().calls, ready.left().over) == ((), (over,))


def test_a_call_on_its_way_out_is_live(ready):
    leaving = replace(WAITING, place=Leaving(Why.NO_ANSWER, 900))
    ready.commit(batch(calls=[(leaving, None)]))
    assert ready.left().live == (leaving,)


@pytest.mark.parametrize("believed", [whole_call(0), whole_call(2)])
def test_a_call_that_is_not_what_was_believed(ready, believed):
    ready.commit(batch(calls=[(WAITING, None)]))
    with pytest.raises(LostRaceError):
        ready.commit(batch(calls=[(whole_call(3), believed)], outbox=[Sent(1, RING_BACK)]))
    assert ready.load().calls == (WAITING,)
    assert ready.load().unanswered == ()


def test_a_call_that_is_not_there_can_t_be_changed(ready):
    with pytest.raises(LostRaceError):
        ready.commit(batch(calls=[(whole_call(2), WAITING)]))


def test_a_call_that_is_there_can_t_be_new(ready):
    ready.commit(batch(calls=[(WAITING, None)]))
    with pytest.raises(StoreError):
        ready.commit(batch(calls=[(WAITING, None)]))


@pytest.mark.parametrize("believed", [None, 3])
def test_an_agent_who_is_reserved_by_another_call(ready, believed):
    ready.commit(batch(calls=[(replace(WAITING, id=9), None)]))
    ready.commit(batch(agents=[(Agent(1, reserved_by=9), Agent(1))]))
    with pytest.raises(LostRaceError):
        ready.commit(
            batch(
                calls=[(WAITING, None)],
                agents=[(Agent(1, reserved_by=1), Agent(1, reserved_by=believed))],
            )
        )
    assert [call.id for call in ready.load().calls] == [9]
    assert ready.left().reserved == (1,)


def test_an_agent_whom_no_live_call_holds_is_free_after_a_start(ready):
    ready.commit(batch(agents=[(Agent(1, reserved_by=9, talking=True), Agent(1))]))
    assert ready.left().reserved == (1,)
    assert ready.load().agents[1] == Agent(1)
    assert ready.left().reserved == ()


def test_an_agent_nobody_knows(ready):
    with pytest.raises(LostRaceError):
        ready.commit(batch(agents=[(Agent(77, reserved_by=1), Agent(77))]))


def test_while_it_is_away_nothing_works_and_nothing_is_lost(ready):
    ready.is_away = True
    for deed in (
        ready.take_over,
        ready.load,
        lambda: ready.read_config(at=9),
        lambda: ready.commit(batch(calls=[(WAITING, None)])),
    ):
        with pytest.raises(StoreError):
            deed()
    ready.is_away = False
    ready.commit(batch(calls=[(WAITING, None)]))
    assert ready.load().calls == (WAITING,)


def test_away_twice_is_away_until_it_is_back(ready):
    ready.is_away = True
    ready.is_away = True
    with pytest.raises(StoreError):
        ready.load()
    ready.is_away = False
    assert ready.load().calls == ()


def test_an_answer_to_a_command_that_is_not_there_is_no_news(ready):
    ready.commit(batch(done=[99]))
    assert ready.load().unanswered == ()
