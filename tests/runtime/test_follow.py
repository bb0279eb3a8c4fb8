"""Asterisk follows the settings: told once, told again after silence, never robbed of a phone."""

from dataclasses import replace

import pytest

from ari_app.ari.client import Reply
from ari_app.ari.requests import UNKNOWN
from ari_app.runtime.follow import Follower
from ari_app.runtime.intents import SettingsWatch
from ari_app.runtime.worker import Worker
from ari_app.store import engine as database
from ari_app.store.plans import Config, Phone
from ari_app.store.store import Store
from tests.store.test_store import E164, team  # noqa: F401 - a fixture
from tests.stories import plan, with_number

MINE = Phone(3, "PJSIP/ann-2", "0" * 32, "wanted")


class Asterisk:
    """Its end of HTTP: answers 204, or what `answers` says for a part of the path."""

    def __init__(self):
        self.answers = {}
        self.told = []

    async def send(self, request):
        name = (request.body or {}).get("variable", "")
        self.told.append(f"{request.method} {request.path} {name}".strip())
        status = next((s for part, s in self.answers.items() if part in request.path), 204)
        return Reply(status)

    def about(self, part):
        told, self.told = [line for line in self.told if part in line], []
        return told


@pytest.fixture
def engine(tmp_path):
    engine = database.open_engine(f"sqlite:///{tmp_path}/sharedline.db")
    database.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
async def office(engine, team):  # noqa: ARG001, F811 - pytest's way
    worker = Worker()
    store = await worker.run(lambda: Store(engine, "team"))
    await worker.run(store.take_over)
    asterisk = Asterisk()
    follower = Follower(store=store, worker=worker, send=asterisk.send, app="team", region="DE")
    yield asterisk, follower, store, worker
    await worker.run(store.close)
    worker.close()


def config(*plans, phones=()):
    return Config({each.number: each for each in plans}, frozenset({1, 2}), tuple(phones))


async def test_each_number_s_fallback_is_set_under_every_way_to_write_it(office):
    asterisk, follower, *_ = office
    assert await follower.follow(config(plan("ann", number=E164)))
    told = asterisk.about("variable FALLBACK_4")
    assert told == ["POST /asterisk/variable FALLBACK_493012345"]
    assert await follower.follow(config(plan("ann", number=E164)))
    assert asterisk.told == []


async def test_national_and_international_ways(office):
    asterisk, follower, *_ = office
    await follower.follow(config(plan("ann", number="+493011111111")))
    names = {line.split()[-1] for line in asterisk.about("FALLBACK_")}
    ways = ("493011111111", "00493011111111", "03011111111", "3011111111")
    assert names == {f"{kind}_{way}" for kind in ("FALLBACK", "FALLBACK_AFTER") for way in ways}


async def test_a_way_that_two_numbers_share_is_nobody_s(office):
    asterisk, follower, *_ = office
    german, austrian = plan("ann", number="+4930111111"), plan("bob", number="+4330111111")
    await follower.follow(config(german, austrian))
    names = {line.split()[-1] for line in asterisk.about("FALLBACK_")}
    assert "FALLBACK_030111111" not in names
    assert {"FALLBACK_4930111111", "FALLBACK_4330111111"} <= names


async def test_a_removed_number_s_fallback_is_cleared(office):
    asterisk, follower, *_ = office
    await follower.follow(config(with_number(plan("ann"), E164)))
    asterisk.told.clear()
    await follower.follow(config())
    assert asterisk.about("FALLBACK_AFTER_493012345") != []


async def test_what_asterisk_did_not_answer_is_told_again(office):
    asterisk, follower, *_ = office
    asterisk.answers = {"/asterisk/variable": UNKNOWN}
    assert not await follower.follow(config(plan("ann", number=E164)))
    asterisk.answers = {}
    asterisk.told.clear()
    assert await follower.follow(config(plan("ann", number=E164)))
    assert asterisk.about("FALLBACK_493012345") != []


async def test_silence_never_costs_a_working_phone_its_place(office):
    asterisk, follower, *_ = office
    ready = replace(MINE, state="ready")
    asterisk.answers = {"/endpoint/": UNKNOWN}
    assert not await follower.follow(config(phones=[ready]))
    assert [line for line in asterisk.told if line.startswith("DELETE")] == []
    asterisk.answers = {}
    assert await follower.follow(config(phones=[ready]))


async def test_a_refused_new_phone_leaves_no_half_behind_and_is_not_tried_for_ever(office):
    asterisk, follower, *_ = office
    asterisk.answers = {"/aor/": 403}
    assert await follower.follow(config(phones=[MINE]))
    assert [line.split()[0] for line in asterisk.told] == [
        "PUT",
        "PUT",
        "DELETE",
        "DELETE",
        "DELETE",
    ]
    asterisk.told.clear()
    assert await follower.follow(config(phones=[replace(MINE, state="failed")]))
    assert asterisk.told == []


async def test_a_settings_change_whose_reading_fails_is_read_later(office, engine):
    _, follower, store, worker = office
    read = []
    watch = SettingsWatch(
        store=store, worker=worker, follower=follower, tell=read.append, clock=lambda: 1
    )
    store._pragma("busy_timeout = 1")
    with database.writing(engine) as other:
        other.exec_driver_sql("UPDATE number SET ring_s = 30")
        with pytest.raises(database.StoreError):
            await watch._look()
    await watch._look()
    assert [told.config.plans[E164].ring_s for told in read] == [30]
    await watch._look()
    assert len(read) == 1
