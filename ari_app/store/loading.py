"""What a controller finds when it starts. A row that can't be read is set aside, with a line.

Nothing that one row holds may keep all others waiting: an unreadable call is over for us (its
channels are left alone, since they may be a talk), an unreadable command is dropped, and an agent
who is held by no live call is free.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from ari_app.core.agent import Agent
from ari_app.core.call import Call, Why
from ari_app.core.commands import Command
from ari_app.core.plan import Plan
from ari_app.store import codec, plans
from ari_app.store.tables import AGENT_STATE, CALL, JOURNAL, OUTBOX

_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, msgspec.MsgspecError)


@dataclass(frozen=True, slots=True)
class Sent:
    """A command with its row in the outbox."""

    id: int
    command: Command


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything a controller needs to go on where the last one stopped.

    `aside` are calls that could not be read, with their channels; `problems` says why, in lines.
    """

    calls: tuple[Call, ...]
    agents: Mapping[int, Agent]
    plans: Mapping[tuple[str, int], Plan]
    unanswered: tuple[Sent, ...]
    next_call: int
    next_sent: int
    aside: Mapping[int, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def load(connection: Connection, shard: str) -> Loaded:
    """All live state; writes down what had to be set aside."""
    problems: list[str] = []
    found, aside = _calls(connection, shard, problems)
    return Loaded(
        calls=tuple(call for call, _ in found),
        agents=agents(connection, frozenset(call.id for call, _ in found)),
        plans={(call.number, call.plan_version): plan for call, plan in found},
        unanswered=_unanswered(connection, problems),
        next_call=_next(connection, func.max(CALL.c.id)),
        next_sent=_next(connection, func.max(OUTBOX.c.id)),
        aside=aside,
        problems=tuple(problems),
    )


def agents(connection: Connection, live: frozenset[int] | None = None) -> dict[int, Agent]:
    """Every agent. With `live`, whoever is held by none of these calls is freed."""
    found = {}
    for row in connection.execute(select(AGENT_STATE)):
        agent = Agent(
            id=row.agent_id,
            reserved_by=row.reserved_by,
            talking=row.talking,
            backoff_until_at=row.backoff_until_at,
            idle_since_at=row.idle_since_at,
        )
        if live is not None and agent.reserved_by is not None and agent.reserved_by not in live:
            agent = replace(agent, reserved_by=None, talking=False)
            change = update(AGENT_STATE).where(AGENT_STATE.c.agent_id == agent.id)
            connection.execute(change.values(reserved_by=None, talking=False))
        found[agent.id] = agent
    return found


def _calls(
    connection: Connection, shard: str, problems: list[str]
) -> tuple[list[tuple[Call, Plan]], dict[int, str]]:
    found, aside = [], {}
    query = select(CALL.c.id, CALL.c.channel, CALL.c.arrived_at, CALL.c.body)
    for row in connection.execute(query.where(CALL.c.live, CALL.c.shard == shard)).all():
        try:
            call = codec.load_call(row.body)
            plan = plans.find_plan(connection, call.number, call.plan_version)
        except _UNREADABLE as error:
            problems.append(f"call {row.id} can't be read and is set aside: {error!r}"[:200])
            _set_aside(connection, row, problems[-1])
            aside[row.id] = row.channel
        else:
            found.append((call, plan))
    return found, aside


def _set_aside(connection: Connection, row: Any, why: str) -> None:
    change = update(CALL).where(CALL.c.id == row.id)
    connection.execute(change.values(live=False, outcome=Why.FAILED, ended_at=row.arrived_at))
    line = {"event": "SetAside", "before": "", "after": "", "ignored": why}
    line |= {"call_id": row.id, "at": row.arrived_at, "body": "{}", "commands": "[]"}
    connection.execute(insert(JOURNAL).values(**line))


def _unanswered(connection: Connection, problems: list[str]) -> tuple[Sent, ...]:
    found = []
    query = select(OUTBOX.c.id, OUTBOX.c.body).order_by(OUTBOX.c.id)
    for row in connection.execute(query).all():
        try:
            found.append(Sent(row.id, codec.load_command(row.body)))
        except _UNREADABLE as error:
            problems.append(f"command {row.id} can't be read and is dropped: {error!r}"[:200])
            connection.execute(delete(OUTBOX).where(OUTBOX.c.id == row.id))
    return tuple(found)


def _next(connection: Connection, highest: Any) -> int:
    return int(connection.execute(select(highest)).scalar() or 0) + 1
