"""Where a story's controllers keep what they know: dictionaries, or a real SQLite file.

Both make the same promises (tests/sim/test_contract.py) and so the same journal for the same seed;
the dictionaries are some thirty times faster.
"""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, delete, event, insert, select, update

from ari_app.core.agent import Agent
from ari_app.core.call import Call, is_over
from ari_app.core.commands import Command
from ari_app.core.plan import UNKNOWN_NUMBER, Plan
from ari_app.sim.asterisk import APP
from ari_app.store import codec, loading
from ari_app.store import engine as database
from ari_app.store.engine import StoreError
from ari_app.store.plans import READY, Config
from ari_app.store.store import Batch, Loaded, LostRaceError, Record, Sent, Store
from ari_app.store.tables import AGENT, CALL, DEVICE, JOURNAL, MEMBER, NUMBER, OUTBOX

# One line of the journal, as its row: call, at, event, before, after, ignored, body, commands.
Line = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Left:
    """What is kept at the end of a story."""

    live: tuple[Call, ...]
    reserved: tuple[int, ...]
    commands: tuple[Sent, ...]
    over: tuple[Call, ...]


class Keeper(Protocol):
    """A controller's store, as a story needs it."""

    def take_over(self) -> None:
        """A new controller is here."""

    def load(self) -> Loaded:
        """All live state."""

    def read_config(self, at: int) -> tuple[Config, Mapping[int, Agent]]:
        """The settings now, and every agent."""

    def commit(self, batch: Batch) -> None:
        """Keep the batch, all or nothing. Raises LostRaceError and StoreError."""

    @property
    def is_away(self) -> bool:
        """Away: everything above fails with StoreError."""

    @is_away.setter
    def is_away(self, away: bool) -> None:
        """Go, or come back."""

    def change(self, plan: Plan) -> None:
        """An admin gives the plan's number these settings; its version comes with the reading."""

    def left(self) -> Left:
        """What is kept."""

    def journal(self) -> list[Line]:
        """Every step, oldest first."""


class MemoryStore:
    """One database of one shard, as dictionaries."""

    def __init__(self, config: Config) -> None:
        self._settings = dict(config.plans)
        self._known_agents = config.agents
        self.is_away = False
        self._calls: dict[int, Call] = {}
        self._agents: dict[int, Agent] = {}
        self._outbox: dict[int, Command] = {}
        self._over: dict[int, Call] = {}
        self._records: list[Record] = []
        self._plans: dict[tuple[str, int], Plan] = {}
        self._newest: dict[str, Plan] = {}

    def take_over(self) -> None:
        """Nobody else can be here."""
        self._must_be_there()

    def load(self) -> Loaded:
        """All live state."""
        self._must_be_there()
        wanted = {(call.number, call.plan_version) for call in self._calls.values()}
        for agent in list(self._agents.values()):
            if agent.reserved_by is not None and agent.reserved_by not in self._calls:
                self._agents[agent.id] = replace(agent, reserved_by=None, talking=False)
        return Loaded(
            calls=tuple(self._calls.values()),
            agents=dict(self._agents),
            plans={key: self._plans.get(key, UNKNOWN_NUMBER) for key in wanted},
            unanswered=self._unanswered(),
            next_call=max([*self._calls, *self._over], default=0) + 1,
            next_sent=max(self._outbox, default=0) + 1,
        )

    def read_config(self, at: int) -> tuple[Config, Mapping[int, Agent]]:
        """The settings now, and every agent."""
        self._must_be_there()
        for agent in self._known_agents:
            self._agents.setdefault(agent, Agent(agent, idle_since_at=at))
        for number, plan in self._settings.items():
            newest = self._newest.get(number, replace(plan, version=0))
            if replace(plan, version=newest.version) != newest or not newest.version:
                newest = replace(plan, version=newest.version + 1)
            self._newest[number] = self._plans[number, newest.version] = newest
        return Config(dict(self._newest), self._known_agents, ()), dict(self._agents)

    def commit(self, batch: Batch) -> None:
        """Keep the batch. Raises LostRaceError and StoreError as the real one does."""
        self._must_be_there()
        self._check(batch)
        for changed, _ in batch.calls:
            self._calls[changed.id] = changed
            if is_over(changed):
                self._over[changed.id] = self._calls.pop(changed.id)
        self._agents |= {agent.id: agent for agent, _ in batch.agents}
        self._records += batch.records
        self._outbox |= {each.id: each.command for each in batch.outbox}
        for done in batch.done:
            self._outbox.pop(done, None)

    def change(self, plan: Plan) -> None:
        """The number's settings are these now."""
        self._settings[plan.number] = plan

    def left(self) -> Left:
        """What is kept."""
        return Left(
            tuple(self._calls.values()),
            tuple(a.id for a in self._agents.values() if a.reserved_by is not None),
            self._unanswered(),
            tuple(self._over[id_] for id_ in sorted(self._over)),
        )

    def journal(self) -> list[Line]:
        """Every step, oldest first."""
        return [_line(record) for record in self._records]

    def _unanswered(self) -> tuple[Sent, ...]:
        return tuple(Sent(id_, self._outbox[id_]) for id_ in sorted(self._outbox))

    def _must_be_there(self) -> None:
        if self.is_away:
            raise StoreError("the database can't be used now: it is away")

    def _check(self, batch: Batch) -> None:
        for changed, before in batch.calls:
            known = self._calls.get(changed.id) or self._over.get(changed.id)
            if before is None and known is not None:
                raise StoreError(f"the database can't be used now: call {changed.id} is there")
            if before is not None and (known is None or known.version != before.version):
                raise LostRaceError(f"call {changed.id} had changed meanwhile")
        for agent, believed in batch.agents:
            there = self._agents.get(agent.id)
            if there is None or there.reserved_by != believed.reserved_by:
                raise LostRaceError(f"agent {agent.id} had changed meanwhile")


def _line(record: Record) -> Line:
    commands = ",".join(codec.dump_command(command) for command in record.commands)
    event = record.event
    return (
        event.call,
        event.at,
        type(event).__name__,
        record.before,
        record.after,
        record.ignored,
        codec.dump_event(event),
        f"[{commands}]",
    )


class DiskStore(Store):
    """The real store on an SQLite file of its own, with the office's settings as rows.

    Away means that somebody else holds the write lock, and that nobody here waits for it.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        path = folder / "story.db"
        path.write_bytes(_empty_database())
        self._engine = database.open_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _wait_for_nobody)
        self._locked = ExitStack()
        self._is_away = False
        with database.writing(self._engine) as connection:
            _write_office(connection, config)
        super().__init__(self._engine, APP)

    def close(self) -> None:
        """Let go of the file."""
        self._locked.close()
        super().close()
        self._engine.dispose()

    @property
    def is_away(self) -> bool:
        """Does somebody else hold the write lock?"""
        return self._is_away

    @is_away.setter
    def is_away(self, away: bool) -> None:
        """Take the write lock, or give it back."""
        self._is_away = away
        self._locked.close()
        if away:
            self._locked.enter_context(database.writing(self._engine))

    def change(self, plan: Plan) -> None:
        """Write the number's settings, as the CLI does from its own connection."""
        with database.writing(self._engine) as connection:
            number = select(NUMBER.c.id).where(NUMBER.c.e164 == plan.number)
            id_ = connection.execute(number).scalar_one()
            changed = update(NUMBER).where(NUMBER.c.id == id_).values(ring_s=plan.ring_s)
            connection.execute(changed)
            connection.execute(delete(MEMBER).where(MEMBER.c.number_id == id_))
            _write_members(connection, id_, plan)

    def left(self) -> Left:
        """What is kept."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(CALL.c.live, CALL.c.body).order_by(CALL.c.id)).all()
            agents = loading.agents(connection)
            outbox = connection.execute(select(OUTBOX).order_by(OUTBOX.c.id)).all()
        calls = [(row.live, codec.load_call(row.body)) for row in rows]
        return Left(
            tuple(call for live, call in calls if live),
            tuple(a.id for a in agents.values() if a.reserved_by is not None),
            tuple(Sent(row.id, codec.load_command(row.body)) for row in outbox),
            tuple(call for live, call in calls if not live),
        )

    def journal(self) -> list[Line]:
        """Every step, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(JOURNAL).order_by(JOURNAL.c.id)).all()
        return [tuple(row)[1:] for row in rows]


def _wait_for_nobody(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA busy_timeout=0")


@cache
def _empty_database() -> bytes:
    """A database file with tables and no rows; the migrations run once a process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        engine = database.open_engine(f"sqlite:///{path}")
        database.upgrade(engine)
        engine.dispose()  # the last one to go folds the write-ahead log into the file
        return path.read_bytes()


def _write_office(connection: Connection, config: Config) -> None:
    members = {m.agent: m for plan in config.plans.values() for m in plan.members}
    for agent, member in sorted(members.items()):
        connection.execute(insert(AGENT).values(id=agent, name=member.name, removed=False))
        for device in member.devices:
            row = {"id": device.id, "agent_id": agent, "endpoint": device.endpoint}
            row |= {"managed": False, "digest": "", "state": READY, "problem": ""}
            connection.execute(insert(DEVICE).values(row))
    for id_, plan in enumerate(config.plans.values(), start=1):
        row = {"id": id_, "e164": plan.number, "label": "", "strategy": plan.strategy}
        row |= {"ring_s": plan.ring_s, "retry_s": plan.retry_s, "max_wait_s": plan.max_wait_s}
        connection.execute(insert(NUMBER).values(row | {"fallback": "announce", "shard": APP}))
        _write_members(connection, id_, plan)


def _write_members(connection: Connection, number: int, plan: Plan) -> None:
    for member in plan.members:
        row = {"number_id": number, "agent_id": member.agent, "position": member.position}
        row |= {"may_ring": member.may_ring, "may_call_out": True}
        connection.execute(insert(MEMBER).values(row))
