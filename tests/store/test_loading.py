"""A row that can't be read is set aside with a line; nobody else notices."""

import pytest
from sqlalchemy import insert, select, update

from ari_app.core.agent import Agent
from ari_app.core.call import Call, Waiting
from ari_app.core.commands import RingBack
from ari_app.store import engine as database
from ari_app.store.store import Batch, Sent, Store
from ari_app.store.tables import AGENT_STATE, CALL, DEVICE, JOURNAL, NUMBER, OUTBOX
from tests.store.test_store import E164, team  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("team")
GOOD, BAD = (
    Call(n, E164, f"chan-{n}", "", "", 100, 60_000, Waiting(), 1, version=1) for n in (1, 2)
)


@pytest.fixture
def store(engine):
    """Two live calls and a command of each; Ann is held by the second."""
    store = Store(engine, "team")
    store.take_over()
    store.read_config(at=1)
    store.commit(
        Batch(
            at=500,
            calls=[(GOOD, None), (BAD, None)],
            agents=[(Agent(1, reserved_by=2, idle_since_at=1), Agent(1, idle_since_at=1))],
            outbox=[Sent(1, RingBack(1, "chan-1")), Sent(2, RingBack(2, "chan-2"))],
        )
    )
    yield store
    store.close()


def damage(engine, table, id_, **values):
    with database.writing(engine) as connection:
        connection.execute(update(table).where(table.c.id == id_).values(**values))


@pytest.mark.parametrize(
    "body", ["", "{}", "null", '{"schema":9}', '{"schema":1,"place":{"type":"Nowhere"}}']
)
def test_a_call_of_another_world(engine, store, body):
    damage(engine, CALL, 2, body=body)
    loaded = store.load()
    assert loaded.calls == (GOOD,)
    assert loaded.aside == {2: "chan-2"}
    (problem,) = loaded.problems
    assert problem.startswith("call 2 can't be read and is set aside: ")
    assert loaded.agents[1].reserved_by is None
    assert store.load().problems == ()
    with engine.connect() as connection:
        row = connection.execute(select(CALL).where(CALL.c.id == 2)).one()
        assert (row.live, row.outcome) == (False, "failed")
        line = connection.execute(select(JOURNAL).where(JOURNAL.c.call_id == 2)).one()
        assert line.event == "SetAside"
        assert connection.execute(select(AGENT_STATE.c.reserved_by)).scalars().all() == [None, None]


def test_a_call_whose_plan_is_gone(engine, store):
    damage(engine, CALL, 2, body=_body_with_plan(engine, 77))
    loaded = store.load()
    assert loaded.calls == (GOOD,)
    assert "there is no version 77 of the plan" in loaded.problems[0]


def _body_with_plan(engine, version):
    with engine.connect() as connection:
        body = connection.execute(select(CALL.c.body).where(CALL.c.id == 2)).scalar_one()
    return body.replace('"plan_version":1', f'"plan_version":{version}')


@pytest.mark.parametrize("body", ["", "[]", '{"type":"Explode"}', '{"type":"RingBack"}'])
def test_a_command_of_another_world(engine, store, body):
    damage(engine, OUTBOX, 2, body=body)
    loaded = store.load()
    assert [sent.id for sent in loaded.unanswered] == [1]
    assert loaded.problems[0].startswith("command 2 can't be read and is dropped: ")
    assert store.load().problems == ()


@pytest.mark.parametrize(
    "values", [{"strategy": "by-horoscope"}, {"fallback": "pray"}, {"fallback": ""}]
)
def test_a_number_that_nobody_can_route(engine, store, values):
    with database.writing(engine) as connection:
        row = connection.execute(select(NUMBER)).one()._asdict()
        connection.execute(insert(NUMBER).values(**row | {"id": 9, "e164": "+4999"} | values))
    config, _ = store.read_config(at=2)
    assert set(config.plans) == {E164}
    assert [problem.split(":")[0] for problem in config.problems] == ["+4999"]


def test_an_endpoint_that_must_not_be_dialled_is_in_no_plan(engine, store):
    damage(engine, DEVICE, 1, endpoint="PJSIP/ann&PJSIP/trunk")
    members = store.read_config(at=2)[0].plans[E164].members
    assert [d.endpoint for m in members for d in m.devices] == ["PJSIP/bob", "PJSIP/ann-2"]
