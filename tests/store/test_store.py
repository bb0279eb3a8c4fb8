"""The controller's transactions: all or nothing, guarded, and readable again after a crash."""

from dataclasses import replace

import pytest
from sqlalchemy import insert, select, text, update

from ari_app.core.agent import Agent, Attempted, Outcome
from ari_app.core.call import Call, Ended, Leg, Stage, Talking, Waiting, Why
from ari_app.core.commands import LegId, RingBack
from ari_app.core.events import CallerLeft
from ari_app.core.plan import Exit, Strategy
from ari_app.store import engine as database
from ari_app.store.engine import StoreError
from ari_app.store.plans import Phone
from ari_app.store.store import Batch, LostRaceError, Record, Sent, Store
from ari_app.store.tables import (
    AGENT,
    AGENT_STATE,
    ATTEMPT,
    CALL,
    DEVICE,
    JOURNAL,
    MEMBER,
    NUMBER,
    OUTBOX,
)

E164 = "+493012345"
PHONE = Phone(3, "PJSIP/ann-2", "d", "wanted")
WAITING = Call(1, E164, "chan", "+4917", "Eve", 100, 60_000, Waiting(), 1, version=1)


@pytest.fixture
def team(engine):
    """Ann with two phones, one of them ours to make, and Bob, on one number."""
    with database.writing(engine) as c:
        c.execute(
            insert(NUMBER).values(
                id=1, e164=E164, label="", strategy="in-order", ring_s=20, retry_s=5,
                max_wait_s=60, fallback="announce", shard="team",
            )
        )  # fmt: skip
        for id_, name in enumerate(["ann", "bob"], start=1):
            c.execute(insert(AGENT).values(id=id_, name=name, removed=False))
            c.execute(
                insert(MEMBER).values(
                    number_id=1, agent_id=id_, position=3 - id_, may_ring=True, may_call_out=True
                )
            )
        device = {"digest": "", "problem": "", "managed": False, "state": "ready"}
        c.execute(insert(DEVICE).values(id=1, agent_id=1, endpoint="PJSIP/ann", **device))
        c.execute(insert(DEVICE).values(id=2, agent_id=2, endpoint="PJSIP/bob", **device))
        device |= {"managed": True, "state": "wanted", "digest": "d"}
        c.execute(insert(DEVICE).values(id=3, agent_id=1, endpoint="PJSIP/ann-2", **device))
    return engine


@pytest.fixture
def store(team):
    store = Store(team, "team")
    store.take_over()
    yield store
    store.close()


def rows(engine, table):
    with engine.connect() as connection:
        return connection.execute(select(table)).all()


def a_batch(**parts):
    return Batch(at=500, **parts)


def test_the_settings_become_a_plan_in_order_of_position(store):
    config, agents = store.read_config(at=77)
    plan = config.plans[E164]
    assert plan.version == 1
    assert plan.strategy is Strategy.IN_ORDER
    assert plan.fallback == Exit("nobody", E164)
    assert [(m.name, [d.endpoint for d in m.devices]) for m in plan.members] == [
        ("bob", ["PJSIP/bob"]),
        ("ann", ["PJSIP/ann", "PJSIP/ann-2"]),
    ]
    assert config.phones == (PHONE,)
    assert agents == {1: Agent(1, idle_since_at=77), 2: Agent(2, idle_since_at=77)}


def test_a_plan_has_a_new_version_only_when_it_changes(store, team):
    assert store.read_config(at=1)[0].plans[E164].version == 1
    assert store.read_config(at=2)[0].plans[E164].version == 1
    with database.writing(team) as connection:
        connection.execute(update(NUMBER).values(ring_s=30))
    assert store.read_config(at=3)[0].plans[E164].version == 2


@pytest.mark.parametrize(
    ("fallback", "leads_to"),
    [
        ("announce", Exit("nobody", E164)),
        (f"number:{E164}", Exit("forward", E164)),
        ("number:+4999", Exit("outbound", "+4999")),
        ("extension:600@pbx", Exit("pbx", "600")),
    ],
)
def test_each_fallback_leads_somewhere(store, team, fallback, leads_to):
    with database.writing(team) as connection:
        connection.execute(update(NUMBER).values(fallback=fallback))
    assert store.read_config(at=1)[0].plans[E164].fallback == leads_to


def test_a_phone_with_a_new_password_is_yet_to_be_made(store):
    store.phone_made(replace(PHONE, digest="the one before"), "")
    assert store.read_config(at=1)[0].phones == (PHONE,)
    store.phone_made(PHONE, "")
    assert store.read_config(at=1)[0].phones == (replace(PHONE, state="ready"),)


def test_an_unwanted_phone_is_in_no_plan_and_not_made_ready(store, team):
    with database.writing(team) as connection:
        connection.execute(update(DEVICE).where(DEVICE.c.id == 3).values(state="unwanted"))
    store.phone_made(PHONE, "")
    config, _ = store.read_config(at=1)
    assert config.phones == (replace(PHONE, state="unwanted"),)
    assert [d.endpoint for d in config.plans[E164].members[1].devices] == ["PJSIP/ann"]


def test_a_phone_that_could_not_be_made_says_why(store, team):
    store.phone_made(PHONE, "no such transport")
    assert [(row.state, row.problem) for row in rows(team, DEVICE) if row.id == 3] == [
        ("failed", "no such transport")
    ]
    store.phone_forgotten(3)
    assert [row.id for row in rows(team, DEVICE)] == [1, 2]


def test_only_other_peoples_writes_are_noticed(store, team):
    before = store.data_version()
    store.phone_made(PHONE, "")
    assert store.data_version() == before
    with database.writing(team) as connection:
        connection.execute(update(NUMBER).values(ring_s=31))
    assert store.data_version() != before


def test_everything_of_a_batch_can_be_loaded_again(store, team):
    store.read_config(at=1)
    command = RingBack(1, "chan")
    store.commit(
        a_batch(
            calls=[(WAITING, None)],
            agents=[(Agent(1, reserved_by=1), Agent(1))],
            records=[Record(CallerLeft(9, 1), "Waiting", "Ended", "", (command,))],
            attempts=[Attempted(9, 1, 1, 1, Outcome.BUSY, 5)],
            outbox=[Sent(1, command)],
        )
    )
    loaded = store.load()
    assert loaded.calls == (WAITING,)
    assert loaded.agents[1].reserved_by == 1
    assert loaded.unanswered == (Sent(1, command),)
    assert (loaded.next_call, loaded.next_sent) == (2, 2)
    assert loaded.plans[E164, 1].number == E164
    assert [(row.event, row.before, row.after) for row in rows(team, JOURNAL)] == [
        ("CallerLeft", "Waiting", "Ended")
    ]
    assert [(row.outcome, row.since_at, row.ended_at) for row in rows(team, ATTEMPT)] == [
        ("busy", 5, 9)
    ]


def test_a_call_that_is_over_is_not_loaded_but_stays_in_the_history(store, team):
    store.read_config(at=1)
    talked = replace(WAITING, answered_at=200, answered_by=1, version=2)
    talked = replace(talked, place=Ended(Why.TALKED, 900))
    store.commit(a_batch(calls=[(WAITING, None)]))
    store.commit(a_batch(calls=[(talked, WAITING)]))
    assert store.load().calls == ()
    (row,) = rows(team, CALL)
    assert (row.outcome, row.agent_id, row.ended_at, row.live) == ("answered", 1, 900, False)


def test_an_answered_command_leaves_the_outbox_with_the_batch(store, team):
    store.commit(a_batch(outbox=[Sent(1, RingBack(1, "c")), Sent(2, RingBack(1, "c"))]))
    store.commit(a_batch(done=[1]))
    assert [row.id for row in rows(team, OUTBOX)] == [2]


def test_a_call_that_changed_meanwhile_is_not_overwritten(store, team):
    store.read_config(at=1)
    store.commit(a_batch(calls=[(WAITING, None)]))
    stale = replace(WAITING, version=7)
    with pytest.raises(LostRaceError):
        store.commit(a_batch(calls=[(replace(stale, version=8), stale)], done=[1]))
    assert rows(team, CALL)[0].version == 1


def test_an_agent_who_is_reserved_already_is_not_reserved_again(store, team):
    store.read_config(at=1)
    store.commit(a_batch(agents=[(Agent(1, reserved_by=1), Agent(1))]))
    with pytest.raises(LostRaceError):
        store.commit(
            a_batch(
                calls=[(WAITING, None)],
                agents=[(Agent(1, reserved_by=2), Agent(1)), (Agent(2, reserved_by=2), Agent(2))],
            )
        )
    assert [row.reserved_by for row in rows(team, AGENT_STATE)] == [1, None]
    assert rows(team, CALL) == []


def test_the_owner_before_us_can_write_no_more(store, team):
    successor = Store(team, "team")
    successor.take_over()
    with pytest.raises(LostRaceError, match="another controller owns team"):
        store.commit(a_batch(calls=[(WAITING, None)]))
    successor.commit(a_batch(calls=[(WAITING, None)]))
    successor.close()


def test_a_talk_and_its_leg_come_back_whole(store):
    store.read_config(at=1)
    leg = Leg(LegId(1, 2, 3), 1, confirm=False, dialled_at=5, until_at=6, stage=Stage.ANSWERED)
    talk = replace(WAITING, place=Talking(leg))
    store.commit(a_batch(calls=[(talk, None)]))
    assert store.load().calls == (talk,)


def test_a_locked_database_is_a_store_error_and_works_again_after(store, team):
    store.read_config(at=1)
    store._pragma("busy_timeout = 10")
    with database.writing(team) as other:
        other.execute(text("UPDATE number SET label = 'x'"))
        with pytest.raises(StoreError, match="database is locked"):
            store.commit(a_batch(calls=[(WAITING, None)]))
    store.commit(a_batch(calls=[(WAITING, None)]))
    assert store.load().calls == (WAITING,)


def test_an_empty_batch_is_known_as_such():
    assert a_batch().is_empty()
    assert not a_batch(done=[1]).is_empty()
