"""The loop with a real database file: group commit, a database that goes away and comes back."""

import asyncio

import pytest
from sqlalchemy import insert, text

from ari_app.ari.client import Reply
from ari_app.core.events import CallArrived, CallerLeft
from ari_app.runtime.clock import system_clock
from ari_app.runtime.controller import Controller
from ari_app.runtime.directory import Directory
from ari_app.runtime.happenings import ConfigRead
from ari_app.runtime.inbox import Inbox
from ari_app.runtime.mind import Mind
from ari_app.runtime.outbox import Outbox
from ari_app.runtime.worker import Worker
from ari_app.store import engine as database
from ari_app.store.store import Store
from ari_app.store.tables import AGENT, DEVICE, MEMBER, NUMBER

E164 = "+493012345"


class Office:
    """A controller on a real database; Asterisk is a list of what it was told."""

    def __init__(self, engine, tasks, patience_s=30.0):
        self.engine = engine
        self.asterisk = []
        self.changed = asyncio.Condition()
        self.inbox = Inbox(system_clock, 1000)
        self.worker = Worker()
        self.store = Store(engine, "team")
        self.store.take_over()
        self.store._pragma("busy_timeout = 1")
        self.outbox = Outbox(self.send, "team", self.inbox.put, system_clock, tasks.create_task)
        self.controller = Controller(
            mind=Mind(self.store.load(), Directory("DE", {}), system_clock()),
            store=self.store,
            worker=self.worker,
            inbox=self.inbox,
            outbox=self.outbox,
            clock=system_clock,
            db_patience_s=patience_s,
        )
        self.inbox.put(ConfigRead(*self.store.read_config(1)))

    async def send(self, request):
        self.asterisk.append(f"{request.method} {request.path}")
        async with self.changed:
            self.changed.notify_all()
        return Reply(204)

    async def told(self, *requests):
        """Wait until Asterisk was told all of these."""
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: set(requests) <= set(self.asterisk))

    async def a_commit_was_tried(self):
        """The worker does one thing after the other: what we queue comes after the commit."""
        while len(self.inbox):
            await asyncio.sleep(0)
        await self.worker.run(lambda: None)

    async def close(self, running):
        await self.outbox.idle()
        self.inbox.close()
        await running
        self.worker.close()


@pytest.fixture
def engine(tmp_path):
    engine = database.open_engine(f"sqlite:///{tmp_path}/sharedline.db")
    database.upgrade(engine)
    with database.writing(engine) as c:
        row = {"label": "", "strategy": "ring-all", "ring_s": 20, "retry_s": 5, "max_wait_s": 60}
        c.execute(insert(NUMBER).values(id=1, e164=E164, fallback="announce", shard="team", **row))
        c.execute(insert(AGENT).values(id=1, name="ann", removed=False))
        device = {"managed": False, "digest": "", "state": "ready", "problem": ""}
        c.execute(insert(DEVICE).values(id=1, agent_id=1, endpoint="PJSIP/ann", **device))
        member = {"position": 1, "may_ring": True, "may_call_out": True}
        c.execute(insert(MEMBER).values(number_id=1, agent_id=1, **member))
    yield engine
    engine.dispose()


def arrives(call):
    return CallArrived(system_clock(), call, f"c{call}", E164, E164, "+4917", "Eve")


def events_of(engine, call):
    with engine.connect() as connection:
        query = text("SELECT event FROM journal WHERE call_id = :call ORDER BY id")
        return list(connection.execute(query, {"call": call}).scalars())


async def test_commands_leave_only_after_the_commit_and_answers_clear_the_outbox(engine):
    async with asyncio.TaskGroup() as tasks:
        office = Office(engine, tasks)
        running = tasks.create_task(office.controller.run())
        office.inbox.put(arrives(1))
        await office.told("POST /channels/c1/ring", "POST /channels")
        await office.close(running)
    assert events_of(engine, 1) == ["CallArrived", "Offered"]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM outbox")).scalar() == 0


async def test_while_the_database_is_locked_nothing_leaves_and_nothing_is_lost(engine):
    async with asyncio.TaskGroup() as tasks:
        office = Office(engine, tasks)
        running = tasks.create_task(office.controller.run())
        with database.writing(engine) as other:
            other.execute(text("UPDATE number SET label = 'locked'"))
            office.inbox.put(arrives(1))
            await office.a_commit_was_tried()
            office.inbox.put(arrives(2))
            assert office.asterisk == []
        await office.told("POST /channels/c1/ring", "POST /channels/c2/ring")
        await office.close(running)
    assert events_of(engine, 1)[0] == "CallArrived"
    assert events_of(engine, 2)[0] == "CallArrived"


async def test_when_patience_ends_callers_are_given_back_without_the_database(engine):
    async with asyncio.TaskGroup() as tasks:
        office = Office(engine, tasks, patience_s=0.1)
        running = tasks.create_task(office.controller.run())
        with database.writing(engine) as other:
            other.execute(text("UPDATE number SET label = 'locked'"))
            office.inbox.put(arrives(1))
            await office.told("POST /channels/c1/continue")
            office.inbox.put(CallerLeft(system_clock(), 1))
        await office.close(running)
    assert office.asterisk.count("POST /channels/c1/continue") == 1
    assert events_of(engine, 1)[0] == "CallArrived"
