"""What the controller keeps: one transaction a batch, all or nothing.

A batch holds whole new states, each with what it replaces: a row changes only if it is still what
the controller believed (`version` of a call, `reserved_by` of an agent), and only while this
controller owns the shard (`epoch`). All methods block and belong in one worker thread.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from ari_app.core import agent as core_agent
from ari_app.core.agent import Attempted
from ari_app.core.call import Call, Ended, is_over
from ari_app.core.commands import Command
from ari_app.core.events import Event
from ari_app.store import codec, fallbacks, loading, plans
from ari_app.store.engine import StoreError
from ari_app.store.fallbacks import FallbackCall
from ari_app.store.loading import Loaded, Sent
from ari_app.store.tables import AGENT_STATE, ATTEMPT, CALL, DEVICE, JOURNAL, OUTBOX, SHARD

__all__ = ["Batch", "Loaded", "LostRaceError", "Record", "Sent", "Store"]


class LostRaceError(Exception):
    """A row was not what this controller believed: it must load again before it decides."""


@dataclass(frozen=True, slots=True)
class Record:
    """One step, for the journal."""

    event: Event
    before: str
    after: str
    ignored: str
    commands: tuple[Command, ...]


@dataclass(slots=True)
class Batch:
    """What one turn of the controller changed. Both maps go from the new state to the old."""

    at: int
    calls: list[tuple[Call, Call | None]] = field(default_factory=list)
    agents: list[tuple[core_agent.Agent, core_agent.Agent]] = field(default_factory=list)
    attempts: list[Attempted] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    outbox: list[Sent] = field(default_factory=list)
    done: list[int] = field(default_factory=list)

    def is_empty(self) -> bool:
        """Nothing to write."""
        return not (self.calls or self.agents or self.records or self.outbox or self.done)


class Store:
    """The database, as one controller of one shard sees it."""

    def __init__(self, engine: Engine, shard: str) -> None:
        self._shard = shard
        self._epoch = 0
        # One connection for everything: data_version tells of *other* connections' commits.
        self._connection = engine.connect().execution_options(sharedline_begin="IMMEDIATE")

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def take_over(self) -> None:
        """Raise the shard's epoch, so that no earlier owner can write any more."""
        with self._transaction() as connection:
            query = select(SHARD.c.epoch).where(SHARD.c.name == self._shard)
            epoch = connection.execute(query).scalar()
            if epoch is None:
                connection.execute(insert(SHARD).values(name=self._shard, epoch=1))
            else:
                change = update(SHARD).where(SHARD.c.name == self._shard).values(epoch=epoch + 1)
                connection.execute(change)
            self._epoch = (epoch or 0) + 1

    def load(self) -> Loaded:
        """All live state; what can't be read is set aside."""
        with self._transaction() as connection:
            return loading.load(connection, self._shard)

    def read_config(self, at: int) -> tuple[plans.Config, Mapping[int, core_agent.Agent]]:
        """The settings now, and the live state of every agent that was added meanwhile too."""
        with self._transaction() as connection:
            plans.add_missing_agent_states(connection, at)
            config = plans.read_config(connection, self._shard)
            return config, loading.agents(connection)

    def data_version(self) -> int:
        """A number that changes when somebody else has written to the database."""
        return int(self._pragma("data_version")[0])

    def checkpoint(self) -> None:
        """Fold the write-ahead log back into the file; for idle moments."""
        self._pragma("wal_checkpoint(PASSIVE)")

    def phone_made(self, phone: plans.Phone, problem: str) -> None:
        """Asterisk took the phone ("" for no problem), or would not.

        Not if the phone has a new password or is unwanted by now: that has yet to be carried out.
        """
        state = plans.FAILED if problem else plans.READY
        with self._transaction() as connection:
            change = update(DEVICE).where(
                DEVICE.c.id == phone.device,
                DEVICE.c.digest == phone.digest,
                DEVICE.c.state != plans.UNWANTED,
            )
            connection.execute(change.values(state=state, problem=problem))

    def phone_forgotten(self, device: int) -> None:
        """Asterisk no longer has the device."""
        with self._transaction() as connection:
            connection.execute(delete(DEVICE).where(DEVICE.c.id == device))

    def keep_fallbacks(self, told: Iterable[FallbackCall]) -> frozenset[str]:
        """Put calls of the dialplan's fallback into the history; the channels of those kept."""
        owner = {"shard": self._shard, "epoch": self._epoch, "node": ""}
        with self._transaction() as connection:
            self._check_epoch(connection)
            return frozenset(
                call.channel for call in told if fallbacks.keep(connection, owner, call)
            )

    def commit(self, batch: Batch) -> None:
        """Write the batch. Raises LostRaceError, or StoreError when the database is away."""
        with self._transaction() as connection:
            self._check_epoch(connection)
            self._write_calls(connection, batch)
            _write_agents(connection, batch)
            _write_rest(connection, batch)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._connection.begin():
                yield self._connection
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or error
            raise StoreError(f"the database can't be used now: {reason}") from error

    def _pragma(self, name: str) -> Any:
        """A row, asked of the sqlite3 connection itself: it must not begin a transaction."""
        driver = self._connection.connection.driver_connection
        assert driver is not None
        try:
            return driver.execute(f"PRAGMA {name}").fetchone()
        except sqlite3.Error as error:  # e.g. the disk is full, and the checkpoint needs some of it
            raise StoreError(f"the database can't be used now: {error}") from error

    def _check_epoch(self, connection: Connection) -> None:
        query = select(SHARD.c.epoch).where(SHARD.c.name == self._shard)
        if connection.execute(query).scalar() != self._epoch:
            raise LostRaceError(f"another controller owns {self._shard} now")

    def _write_calls(self, connection: Connection, batch: Batch) -> None:
        owner = {"shard": self._shard, "epoch": self._epoch}
        new = [_call_row(call) | owner for call, before in batch.calls if before is None]
        old = [
            _call_row(call) | owner | {"b_id": call.id, "b_version": before.version}
            for call, before in batch.calls
            if before is not None
        ]
        if new:
            connection.execute(insert(CALL), new)
        if old:
            guard = (CALL.c.id == bindparam("b_id")) & (CALL.c.version == bindparam("b_version"))
            _expect(len(old), connection.execute(update(CALL).where(guard), old))


def _call_row(call: Call) -> dict[str, Any]:
    ended = call.place if isinstance(call.place, Ended) else None
    return {
        "id": call.id,
        "number": call.number,
        "caller_number": call.caller_number,
        "caller_name": call.caller_name,
        "channel": call.channel,
        "place": type(call.place).__name__,
        "outcome": ended.why if ended else None,
        "agent_id": call.answered_by,
        "arrived_at": call.arrived_at,
        "answered_at": call.answered_at,
        "ended_at": ended.at if ended else None,
        "live": not is_over(call),
        "plan_version": call.plan_version,
        "body": codec.dump_call(call),
        "version": call.version,
    }


def _write_agents(connection: Connection, batch: Batch) -> None:
    changed = [
        {
            "b_id": agent.id,
            "b_reserved_by": before.reserved_by,
            "reserved_by": agent.reserved_by,
            "talking": agent.talking,
            "backoff_until_at": agent.backoff_until_at,
            "idle_since_at": agent.idle_since_at,
        }
        for agent, before in batch.agents
    ]
    if changed:
        guard = (AGENT_STATE.c.agent_id == bindparam("b_id")) & (
            AGENT_STATE.c.reserved_by.is_not_distinct_from(bindparam("b_reserved_by"))
        )
        _expect(len(changed), connection.execute(update(AGENT_STATE).where(guard), changed))


def _write_rest(connection: Connection, batch: Batch) -> None:
    if batch.attempts:
        connection.execute(insert(ATTEMPT), [_attempt_row(fact) for fact in batch.attempts])
    if batch.records:
        connection.execute(insert(JOURNAL), [_journal_row(record) for record in batch.records])
    if batch.outbox:
        connection.execute(insert(OUTBOX), [_outbox_row(sent, batch.at) for sent in batch.outbox])
    if batch.done:
        done = [{"b_id": sent} for sent in batch.done]
        connection.execute(delete(OUTBOX).where(OUTBOX.c.id == bindparam("b_id")), done)


def _attempt_row(fact: Attempted) -> dict[str, Any]:
    return {
        "call_id": fact.call,
        "agent_id": fact.agent,
        "round": fact.round,
        "outcome": fact.outcome,
        "since_at": fact.since_at,
        "ended_at": fact.at,
    }


def _journal_row(record: Record) -> dict[str, Any]:
    commands = ",".join(codec.dump_command(command) for command in record.commands)
    return {
        "call_id": record.event.call,
        "at": record.event.at,
        "event": type(record.event).__name__,
        "before": record.before,
        "after": record.after,
        "ignored": record.ignored,
        "body": codec.dump_event(record.event),
        "commands": f"[{commands}]",
    }


def _outbox_row(sent: Sent, at: int) -> dict[str, Any]:
    command = sent.command
    return {
        "id": sent.id,
        "call_id": command.call,
        "at": at,
        "body": codec.dump_command(command),
    }


def _expect(rows: int, result: CursorResult[Any]) -> None:
    if result.rowcount != rows:
        raise LostRaceError(f"{rows - result.rowcount} of {rows} rows had changed meanwhile")
