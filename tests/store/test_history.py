"""What the history and the live view tell, from rows as the controller writes them."""

from dataclasses import asdict, replace

import pytest
from sqlalchemy import insert, update

from ari_app.core.agent import Agent, Attempted, Outcome
from ari_app.core.call import Call, Connecting, Ended, Leg, Ringing, Talking, Waiting, Why
from ari_app.core.commands import LegId, RingBack
from ari_app.core.events import CallArrived, CallerLeft, LegAnswered, Offered, Verdict
from ari_app.store import config, history
from ari_app.store import engine as database
from ari_app.store.engine import StoreError
from ari_app.store.history import LiveAgent
from ari_app.store.store import Batch, Record, Store
from ari_app.store.tables import AGENT, CALL, DEVICE

SALES, SUPPORT = "+493012345", "+493067890"
ANN, BOB = 1, 2
NOTHING = {"digest": "", "problem": "", "managed": False, "state": "ready"}


def a_call(id_, number=SALES, place=None, **parts):
    return Call(
        id_, number, f"chan{id_}", "+4917", "Eve", 100 * id_, 10**9, place or Waiting(), 1,
        version=1, **parts,
    )  # fmt: skip


def a_leg(call, device, agent):
    return Leg(LegId(call, device, 1), agent, confirm=False, dialled_at=150, until_at=999)


def a_step(call, at, before, after, event=None):
    event = event or CallerLeft(at, call)
    return Record(event, before, after, "", (RingBack(call, f"chan{call}"),))


@pytest.fixture
def store(engine):
    """Ann has two phones, Bob one more that is being given up."""
    with database.writing(engine) as c:
        for id_, name in ((ANN, "ann"), (BOB, "bob")):
            c.execute(insert(AGENT).values(id=id_, name=name, removed=False))
        for agent, endpoint in ((ANN, "PJSIP/ann"), (ANN, "PJSIP/ann-2"), (BOB, "PJSIP/bob")):
            c.execute(insert(DEVICE).values(agent_id=agent, endpoint=endpoint, **NOTHING))
        gone = NOTHING | {"managed": True, "state": "unwanted"}
        c.execute(insert(DEVICE).values(agent_id=BOB, endpoint="PJSIP/bob-old", **gone))
    store = Store(engine, "team")
    store.take_over()
    store.read_config(at=1)
    yield store
    store.close()


@pytest.fixture
def db(engine):
    with config.reading(engine) as db:
        yield db


def commit(store, *calls, **parts):
    store.commit(Batch(at=500, calls=[(call, None) for call in calls], **parts))


def listed(db, **which):
    return [row.id for row in history.list_calls(db, **{"limit": 50} | which)]


# -- the list


def test_no_calls_is_an_empty_list(db):
    assert listed(db) == []


def test_the_newest_call_comes_first(store, db):
    commit(store, a_call(1), a_call(3), a_call(2))
    assert listed(db) == [3, 2, 1]


def test_calls_of_the_same_instant_come_in_one_order(store, db):
    commit(store, *(replace(a_call(n), arrived_at=7) for n in (2, 1, 3)))
    assert listed(db) == [3, 2, 1]


def test_at_most_the_limit(store, db):
    commit(store, *(a_call(n) for n in range(1, 6)))
    assert listed(db, limit=2) == [5, 4]


def test_only_calls_to_one_number(store, db):
    commit(store, a_call(1, SALES), a_call(2, SUPPORT))
    assert listed(db, number=SUPPORT) == [2]
    assert listed(db, number="+1") == []


def test_only_live_calls(store, db):
    commit(store, a_call(1), a_call(2, place=Ended(Why.ABANDONED, 900)), a_call(3, SUPPORT))
    assert listed(db, live=True) == [3, 1]
    assert listed(db, live=True, number=SALES) == [1]


def test_a_row_tells_who_answered_and_how_it_ended(store, db):
    ended = Ended(Why.TALKED, 900)
    commit(store, a_call(1, place=ended, answered_at=300, answered_by=ANN))
    (row,) = history.list_calls(db, limit=1)
    assert asdict(row) == {
        "id": 1,
        "number": SALES,
        "caller_number": "+4917",
        "caller_name": "Eve",
        "place": "Ended",
        "outcome": "answered",
        "agent": "ann",
        "live": False,
        "arrived_at": 100,
        "answered_at": 300,
        "ended_at": 900,
    }


# -- one call


def test_no_such_call_says_where_to_look(db):
    with pytest.raises(StoreError, match="there is no call 7: see `sharedline calls list`"):
        history.find_call(db, 7)


def test_a_call_with_its_attempts_and_steps(store, db):
    verdicts = (Verdict(ANN, "ann", "free"), Verdict(BOB, "bob", "in a call"))
    arrived = CallArrived(100, 1, "chan1", "030", SALES, "+4917", "Eve")
    commit(
        store,
        a_call(1),
        a_call(2),
        attempts=[Attempted(400, ANN, 1, 1, Outcome.DECLINED, 150)],
        records=[
            a_step(1, 100, "", "Waiting", arrived),
            a_step(2, 120, "", "Waiting"),
            a_step(1, 150, "Waiting", "Ringing", Offered(150, 1, (), verdicts)),
        ],
    )
    found = history.find_call(db, 1)
    assert found.call.id == 1
    assert [asdict(attempt) for attempt in found.attempts] == [
        {"round": 1, "agent": "ann", "outcome": "declined", "since_at": 150, "ended_at": 400}
    ]
    assert [(step.at, step.event, step.after) for step in found.steps] == [
        (100, "CallArrived", "Waiting"),
        (150, "Offered", "Ringing"),
    ]
    assert '"says":"in a call"' in found.steps[1].event_body
    assert '"RingBack"' in found.steps[0].commands


def test_removed_agents_keep_their_names(store, engine):
    ended = Ended(Why.TALKED, 900)
    attempts = [Attempted(400, ANN, 1, 1, Outcome.ANSWERED, 150)]
    commit(store, a_call(1, place=ended, answered_by=ANN), attempts=attempts)
    with database.writing(engine) as c:
        c.execute(update(AGENT).where(AGENT.c.id == ANN).values(removed=True))
    with config.reading(engine) as db:
        found = history.find_call(db, 1)
    assert found.call.agent == "ann"
    assert found.attempts[0].agent == "ann"


def test_the_newest_instant(store, engine):
    with config.reading(engine) as db:
        assert history.newest_at(db) == 0
    commit(store, a_call(3))
    with config.reading(engine) as db:
        assert history.newest_at(db) == 300
    commit(store, records=[a_step(3, 4_000, "", "Waiting")])
    with config.reading(engine) as db:
        assert history.newest_at(db) == 4_000


# -- the live view


def live_calls(db):
    return history.live_view(db).calls


def test_nothing_goes_on(db):
    assert live_calls(db) == ()


def test_a_caller_waits_since_the_arrival(store, db):
    commit(store, a_call(1))
    (call,) = live_calls(db)
    assert (call.id, call.number, call.caller_number, call.caller_name) == (
        1,
        SALES,
        "+4917",
        "Eve",
    )
    assert (call.place, call.since_at, call.ringing, call.talking) == ("Waiting", 100, (), ())


def test_the_oldest_live_call_comes_first_and_ended_ones_are_not_shown(store, db):
    commit(store, a_call(2), a_call(1), a_call(3, place=Ended(Why.ABANDONED, 900)))
    assert [call.id for call in live_calls(db)] == [1, 2]


def test_who_rings_each_person_once(store, db):
    legs = (a_leg(1, 1, ANN), a_leg(1, 2, ANN), a_leg(1, 3, BOB))
    commit(
        store,
        a_call(1, place=Ringing(legs)),
        records=[
            a_step(1, 100, "", "Waiting"),
            a_step(1, 150, "Waiting", "Ringing"),
            a_step(1, 180, "Ringing", "Ringing"),  # a 180: the place stays
        ],
    )
    (call,) = live_calls(db)
    assert (call.place, call.since_at) == ("Ringing", 150)
    assert (call.ringing, call.talking) == (("ann", "bob"), ())


@pytest.mark.parametrize("place", [Talking(a_leg(1, 3, BOB)), Connecting(a_leg(1, 3, BOB), 999)])
def test_who_talks(store, db, place):
    name = type(place).__name__
    answer = LegAnswered(210, 1, LegId(1, 3, 1))
    commit(store, a_call(1, place=place), records=[a_step(1, 210, "Ringing", name, answer)])
    (call,) = live_calls(db)
    assert (call.place, call.since_at, call.ringing, call.talking) == (name, 210, (), ("bob",))


def test_a_removed_agent_who_still_talks_is_shown(store, engine):
    commit(store, a_call(1, place=Talking(a_leg(1, 3, BOB))))
    with database.writing(engine) as c:
        c.execute(update(AGENT).where(AGENT.c.id == BOB).values(removed=True))
    with config.reading(engine) as db:
        view = history.live_view(db)
    assert view.calls[0].talking == ("bob",)
    assert [agent.name for agent in view.agents] == ["ann"]


def test_agents_with_their_state_and_phones(store, db):
    commit(store, agents=[(Agent(ANN, reserved_by=7, talking=True), Agent(ANN))])
    assert history.live_view(db).agents == (
        LiveAgent("ann", 7, talking=True, endpoints=("PJSIP/ann", "PJSIP/ann-2")),
        LiveAgent("bob", None, talking=False, endpoints=("PJSIP/bob",)),
    )


@pytest.mark.usefixtures("store")
def test_an_agent_the_controller_has_not_met_is_free(engine):
    with database.writing(engine) as c:
        c.execute(insert(AGENT).values(id=9, name="new", removed=False))
    with config.reading(engine) as db:
        assert history.live_view(db).agents[-1] == LiveAgent("new", None, False, ())


def test_the_live_view_is_bounded(store, engine):
    commit(store, *(a_call(n) for n in range(1, history.MAX_CALLS + 2)))
    with config.reading(engine) as db:
        assert len(history.live_view(db).calls) == history.MAX_CALLS
    with database.writing(engine) as c:
        c.execute(update(CALL).values(live=False))
    with config.reading(engine) as db:
        assert history.live_view(db).calls == ()
