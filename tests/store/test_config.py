"""Settings in the database: bounds, order, loops, and all or nothing."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select

from ari_app.core.plan import Device, Exit, Member, Strategy
from ari_app.store import config
from ari_app.store import engine as database
from ari_app.store.engine import StoreError
from ari_app.store.store import Store
from ari_app.store.tables import AGENT, DEVICE, MEMBER, NUMBER

SALES, HELP, NIGHT = "+4930123456", "+4930123457", "+4930123458"
FRESH = {
    "label": "",
    "strategy": "ring-all",
    "ring_s": 20,
    "retry_s": 5,
    "max_wait_s": 60,
    "fallback": "announce",
}


@pytest.fixture
def db(engine):
    with config.changing(engine) as db:
        yield db


def add_number(db, number=SALES, **settings):
    config.add_number(db, number, "sharedline", FRESH | settings)


def add_people(db, *names):
    return [config.add_agent(db, name, None) for name in names]


def refusal(action, *args):
    with pytest.raises(StoreError) as caught:
        action(*args)
    return str(caught.value)


# --- one transaction


def test_a_refused_change_leaves_nothing(engine):
    def twice():
        with config.changing(engine) as db:
            config.add_device(db, config.add_agent(db, "ann", None), "PJSIP/ann")
            add_number(db)
            add_number(db)

    assert refusal(twice).startswith(f"{SALES} exists already: ")
    with config.reading(engine) as db:
        assert (config.list_numbers(db), config.list_agents(db)) == ((), ())


def test_a_database_that_fails_is_one_line(engine):
    def failing():
        with config.changing(engine) as db:
            db.exec_driver_sql("DROP TABLE member")
            config.list_numbers(db)

    assert refusal(failing) == "the database can't be used now: no such table: member"


def test_reading_waits_for_nobody(engine, tmp_path):
    writer = sqlite3.connect(tmp_path / "sharedline.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with config.reading(engine) as db:
        assert config.list_numbers(db) == ()
    writer.execute("ROLLBACK")
    writer.close()


def test_the_controller_reads_what_was_written(engine):
    with config.changing(engine) as db:
        add_number(db, strategy="in-order", fallback="extension:100@night")
        ann, bob = add_people(db, "ann", "bob")
        config.add_device(db, ann, "PJSIP/ann")
        config.add_device(db, ann, "PJSIP/new", "digest")  # may ring as soon as it is made
        config.put_member(db, SALES, bob, None, {"may_ring": False})
        config.put_member(db, SALES, ann, 1, {})
    controller = Store(engine, "sharedline")
    plan = controller.read_config(at=0)[0].plans[SALES]
    controller.close()
    assert (plan.strategy, plan.fallback) == (Strategy.IN_ORDER, Exit("night", "100"))
    assert plan.members == (
        Member(
            ann.id,
            "ann",
            1,
            may_ring=True,
            devices=(Device(1, "PJSIP/ann"), Device(2, "PJSIP/new")),
        ),
        Member(bob.id, "bob", 2, may_ring=False, devices=()),
    )


# --- bounds


def test_ten_thousand_numbers_are_enough(db):
    row = FRESH | {"shard": "sharedline"}
    db.execute(insert(NUMBER), [row | {"e164": f"+1{n}"} for n in range(1, config.MAX_NUMBERS + 1)])
    assert refusal(add_number, db) == (
        "there are 10000 numbers already, the most that are supported"
    )


def test_ten_thousand_agents_are_enough_the_removed_apart(db):
    row = {"email": None, "removed": False}
    names = [f"agent {n}" for n in range(config.MAX_AGENTS)]
    db.execute(insert(AGENT), [row | {"name": name} for name in names])
    assert refusal(config.add_agent, db, "ann", None) == (
        "there are 10000 agents already, the most that are supported"
    )
    config.remove_agent(db, config.find_agent(db, names[0]))
    assert config.add_agent(db, "ann", None).name == "ann"


def test_a_hundred_members_are_enough(db):
    add_number(db)
    people = add_people(db, *(f"agent {n}" for n in range(config.MAX_MEMBERS + 1)))
    for agent in people[:-1]:
        config.put_member(db, SALES, agent, None, {})
    assert refusal(config.put_member, db, SALES, people[-1], None, {}) == (
        "there are 100 members already, the most that are supported"
    )
    moved = config.put_member(db, SALES, people[99], 1, {})  # a member may still be moved
    assert (moved.agent, moved.position) == ("agent 99", 1)


def test_ten_devices_are_enough_but_those_given_up_do_not_count(db):
    (ann,) = add_people(db, "ann")
    for n in range(config.MAX_DEVICES):
        config.add_device(db, ann, f"PJSIP/ann{n}", "digest")
    assert refusal(config.add_device, db, ann, "PJSIP/more") == (
        "there are 10 devices already, the most that are supported"
    )
    config.remove_device(db, ann, "PJSIP/ann0")
    config.add_device(db, ann, "PJSIP/more")
    assert [device.endpoint for device in config.find_agent(db, "ann").devices] == [
        *(f"PJSIP/ann{n}" for n in range(1, 10)),
        "PJSIP/more",
    ]


# --- fallbacks


@pytest.mark.parametrize(
    ("fallbacks", "way"),
    [
        ({}, f"{SALES} -> {SALES}"),
        ({HELP: SALES}, f"{SALES} -> {HELP} -> {SALES}"),
        ({HELP: SALES, NIGHT: HELP}, f"{SALES} -> {NIGHT} -> {HELP} -> {SALES}"),
    ],
)
def test_a_loop_of_any_length(db, fallbacks, way):
    add_number(db)
    for number, target in fallbacks.items():
        add_number(db, number, fallback=f"number:{target}")
    last = [SALES, *fallbacks][-1]
    assert refusal(config.set_number, db, SALES, {"fallback": f"number:{last}"}) == (
        f"the fallback leads back to {SALES} ({way}): choose another"
    )


def test_a_loop_among_others_does_not_hang(db):
    for number, target in ((HELP, NIGHT), (NIGHT, HELP)):  # written past our checks
        row = FRESH | {"e164": number, "shard": "sharedline", "fallback": f"number:{target}"}
        db.execute(insert(NUMBER).values(row))
    add_number(db, fallback=f"number:{HELP}")
    assert config.find_number(db, SALES).fallback == f"number:{HELP}"


# --- agents


def test_many_agents_with_many_phones_and_numbers(db):
    ann, bob = add_people(db, "ann", "bob")
    for number in (HELP, SALES):
        add_number(db, number)
        config.put_member(db, number, ann, None, {})
    for endpoint in ("PJSIP/z", "PJSIP/a"):
        config.add_device(db, ann, endpoint)
    found = {row.name: row for row in config.list_agents(db)}
    assert found["ann"].numbers == (SALES, HELP)
    assert [device.endpoint for device in found["ann"].devices] == ["PJSIP/z", "PJSIP/a"]
    assert found["bob"] == bob


def test_a_removed_number_takes_its_memberships_along(db):
    add_number(db)
    (ann,) = add_people(db, "ann")
    config.put_member(db, SALES, ann, None, {})
    config.remove_number(db, SALES)
    assert db.execute(select(MEMBER)).all() == []
    assert config.find_agent(db, "ann").numbers == ()


@pytest.mark.parametrize("endpoint", ["PJSIP/a&PJSIP/b", "PJSIP/1@trunk", "SIP/ann", ""])
def test_the_last_guard_before_a_dial_string(db, endpoint):
    (ann,) = add_people(db, "ann")
    with pytest.raises(ValueError, match="is not an endpoint: write PJSIP/NAME"):
        config.add_device(db, ann, endpoint)
    assert db.execute(select(DEVICE)).all() == []


# --- the order of members


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove"]),
        st.integers(0, 4),
        st.one_of(st.none(), st.integers(1, 7)),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """One database for all examples of the property."""
    engine = database.open_engine(f"sqlite:///{tmp_path_factory.mktemp('places')}/x.db")
    database.upgrade(engine)
    with config.changing(engine) as db:
        add_number(db)
        people = add_people(db, "ann", "bob", "cat", "dan", "eve")
    yield engine, people
    engine.dispose()


@given(changes=CHANGES)
@settings(max_examples=60, deadline=None)
def test_places_are_those_of_a_list(places, changes):
    engine, people = places
    model = []
    with config.changing(engine) as db:
        db.execute(delete(MEMBER))
        for what, who, position in changes:
            change(db, people[who], model, what, position)
            rows = config.list_members(db, SALES)
            assert [row.agent for row in rows] == model
            assert [row.position for row in rows] == list(range(1, len(model) + 1))


def change(db, agent, model, what, position):
    """The same to the database and to the list."""
    if what == "put":
        config.put_member(db, SALES, agent, position, {})
        place = position or (model.index(agent.name) if agent.name in model else len(model)) + 1
        if agent.name in model:
            model.remove(agent.name)
        model.insert(place - 1, agent.name)
    elif agent.name in model:
        config.remove_member(db, SALES, agent)
        model.remove(agent.name)
    else:
        assert "is no member of" in refusal(config.remove_member, db, SALES, agent)
