"""Hundreds of days with faults, on both cores: every promise is kept, and every day replays."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from ari_app.sim import story
from ari_app.sim.invariants import BrokenPromise
from ari_app.sim.script import CallerItem, FlutterItem, SettingsItem, dump, load, write
from ari_app.sim.shrink import shrink
from ari_app.sim.story import endpoints, tell

SEEDS, ON_DISK = range(1, 301), range(1, 301, 10)


def day(seed, *, sqlite=False, faults=True):
    return tell(seed, write(seed, endpoints(), faults=faults), sqlite=sqlite)


def play(seeds, **how):
    with ProcessPoolExecutor() as pool:
        return list(pool.map(partial(day, **how), seeds, chunksize=5))


def broken(stories):
    again = "python -m ari_app.sim --seed"
    return [f"{told.broken}: {again} {told.seed}" for told in stories if told.broken]


def test_days_with_faults():
    stories = play(SEEDS)
    assert broken(stories) == []
    talked, calls = sum(told.talked for told in stories), sum(told.calls for told in stories)
    assert talked > 0.6 * calls, "many callers never reached anybody"


def test_quiet_days():
    """Without faults the bounds are tight, and the history is compared with what happened."""
    assert broken(play(range(1, 61), faults=False)) == []


def test_days_in_a_real_database():
    assert broken(play(ON_DISK, sqlite=True)) == []


@pytest.mark.parametrize("seed", [4, 11])
def test_the_same_seed_is_the_same_day(seed):
    script = write(seed, endpoints())
    first, second = (tell(seed, script, traced=True) for _ in range(2))
    assert len(first.trace) > 300
    assert first == second


@pytest.mark.parametrize("seed", [4, 21])
def test_the_same_seed_is_the_same_day_on_disk(seed):
    script = write(seed, endpoints())
    kept = [tell(seed, script, sqlite=sqlite, traced=True) for sqlite in (False, True)]
    assert len(kept[0].journal) > 100
    assert kept[0] == kept[1]


def test_every_kind_of_item_is_written_down_and_read_again():
    everything = tuple(item for seed in range(60) for item in write(seed, endpoints()))
    assert {FlutterItem, SettingsItem} <= {type(item) for item in everything}
    assert len({type(item) for item in everything}) == 9
    assert load(dump(5, everything)) == (5, everything)


def test_a_broken_promise_is_told_as_its_shortest_story(monkeypatch):
    """The shrinker needs a broken story: nobody may call at all today."""

    def nobody_may_call(*_):
        raise BrokenPromise("somebody called")

    monkeypatch.setattr(story.Invariants, "caller_waits", nobody_may_call)
    told = day(3)
    assert told.broken.startswith("somebody called")
    shortest = shrink(told)
    (item,) = shortest.script
    assert isinstance(item, CallerItem)
    assert replace(tell(3, shortest.script), script=()) == replace(shortest, script=())
