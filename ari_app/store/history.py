"""What became of calls, and what goes on now: reads for `calls`, `doctor` and the demo's live view.

Contract: read only, inside the caller's transaction (config.reading). Instants in microseconds
UTC. Removed agents keep their names here.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from ari_app.core.call import Call, Ringing, live_legs
from ari_app.store import codec
from ari_app.store.engine import StoreError
from ari_app.store.plans import UNWANTED
from ari_app.store.tables import AGENT, AGENT_STATE, ATTEMPT, CALL, DEVICE, JOURNAL

MAX_CALLS = 1_000
MAX_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call. `agent` answered it; `outcome` is how it ended, None while it lives."""

    id: int
    number: str
    caller_number: str
    caller_name: str
    place: str
    outcome: str | None
    agent: str | None
    live: bool
    arrived_at: int
    answered_at: int | None
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """How one offer of the call to an agent ended."""

    round: int
    agent: str
    outcome: str
    since_at: int
    ended_at: int


@dataclass(frozen=True, slots=True)
class StepRow:
    """One line of the journal; `event_body` and `commands` are JSON."""

    at: int
    event: str
    before: str
    after: str
    ignored: str
    event_body: str
    commands: str


@dataclass(frozen=True, slots=True)
class History:
    """All that is kept of one call: the first MAX_STEPS steps of it."""

    call: CallRow
    attempts: tuple[AttemptRow, ...]
    steps: tuple[StepRow, ...]


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A call that goes on: its place since `since_at`, and the names of who rings or talks."""

    id: int
    number: str
    caller_number: str
    caller_name: str
    place: str
    since_at: int
    ringing: tuple[str, ...]
    talking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LiveAgent:
    """An agent now: the call that holds the agent, if any, and all phones."""

    name: str
    reserved_by: int | None
    talking: bool
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LiveView:
    """The oldest MAX_CALLS live calls, the oldest first, and all agents by name."""

    calls: tuple[LiveCall, ...]
    agents: tuple[LiveAgent, ...]


_CALLS = select(
    CALL.c.id,
    CALL.c.number,
    CALL.c.caller_number,
    CALL.c.caller_name,
    CALL.c.place,
    CALL.c.outcome,
    AGENT.c.name,
    CALL.c.live,
    CALL.c.arrived_at,
    CALL.c.answered_at,
    CALL.c.ended_at,
).outerjoin_from(CALL, AGENT, AGENT.c.id == CALL.c.agent_id)


def list_calls(
    db: Connection, *, limit: int, number: str | None = None, live: bool = False
) -> tuple[CallRow, ...]:
    """The newest calls first, at most `limit`: to one number, or those that still live."""
    query = _CALLS.order_by(CALL.c.arrived_at.desc(), CALL.c.id.desc()).limit(limit)
    if number is not None:
        query = query.where(CALL.c.number == number)
    if live:
        query = query.where(CALL.c.live)
    return tuple(CallRow(*row) for row in db.execute(query))


def find_call(db: Connection, call: int) -> History:
    """One call with its attempts and steps. Raises StoreError if there is none."""
    row = db.execute(_CALLS.where(CALL.c.id == call)).first()
    if row is None:
        raise StoreError(f"there is no call {call}: see `sharedline calls list`")
    return History(CallRow(*row), _attempts(db, call), _steps(db, call))


def _attempts(db: Connection, call: int) -> tuple[AttemptRow, ...]:
    query = (
        select(
            ATTEMPT.c.round, AGENT.c.name, ATTEMPT.c.outcome, ATTEMPT.c.since_at, ATTEMPT.c.ended_at
        )
        .join_from(ATTEMPT, AGENT, AGENT.c.id == ATTEMPT.c.agent_id)
        .where(ATTEMPT.c.call_id == call)
        .order_by(ATTEMPT.c.id)
        .limit(MAX_STEPS)
    )
    return tuple(AttemptRow(*row) for row in db.execute(query))


def _steps(db: Connection, call: int) -> tuple[StepRow, ...]:
    columns = ("at", "event", "before", "after", "ignored", "body", "commands")
    query = select(*(JOURNAL.c[name] for name in columns)).where(JOURNAL.c.call_id == call)
    return tuple(StepRow(*row) for row in db.execute(query.order_by(JOURNAL.c.id).limit(MAX_STEPS)))


def newest_at(db: Connection) -> int:
    """The newest instant in the database, 0 if there is none: the clock can't be before it."""
    last = select(JOURNAL.c.at).order_by(JOURNAL.c.id.desc()).limit(1)
    journal = db.execute(last).scalar() or 0
    arrived = db.execute(select(func.max(CALL.c.arrived_at))).scalar() or 0
    return max(int(journal), int(arrived))


def live_view(db: Connection) -> LiveView:
    """What goes on now, as last committed by the controller."""
    bodies = select(CALL.c.body).where(CALL.c.live).order_by(CALL.c.arrived_at, CALL.c.id)
    calls = [codec.load_call(body) for body in db.execute(bodies.limit(MAX_CALLS)).scalars()]
    since, names = _since(db), _names(db, calls)
    return LiveView(
        tuple(_live_call(call, since.get(call.id, call.arrived_at), names) for call in calls),
        _live_agents(db),
    )


def _since(db: Connection) -> dict[int, int]:
    """When each live call last changed its place."""
    live = select(CALL.c.id).where(CALL.c.live)
    moves = select(JOURNAL.c.call_id, func.max(JOURNAL.c.at)).where(
        JOURNAL.c.call_id.in_(live), JOURNAL.c.before != JOURNAL.c.after
    )
    return {row[0]: row[1] for row in db.execute(moves.group_by(JOURNAL.c.call_id))}


def _names(db: Connection, calls: list[Call]) -> dict[int, str]:
    """The agents of the calls, removed ones too: a live call outlives its agent's removal."""
    agents = {leg.agent for call in calls for leg in live_legs(call)}
    found = db.execute(select(AGENT.c.id, AGENT.c.name).where(AGENT.c.id.in_(agents)))
    return {row.id: row.name for row in found}


def _live_call(call: Call, since_at: int, names: Mapping[int, str]) -> LiveCall:
    agents = dict.fromkeys(leg.agent for leg in live_legs(call))  # a person with two phones: once
    with_us = tuple(names.get(agent, f"agent {agent}") for agent in agents)
    rings = isinstance(call.place, Ringing)
    return LiveCall(
        id=call.id,
        number=call.number,
        caller_number=call.caller_number,
        caller_name=call.caller_name,
        place=type(call.place).__name__,
        since_at=since_at,
        ringing=with_us if rings else (),
        talking=() if rings else with_us,
    )


def _live_agents(db: Connection) -> tuple[LiveAgent, ...]:
    phones: defaultdict[int, list[str]] = defaultdict(list)
    devices = select(DEVICE.c.agent_id, DEVICE.c.endpoint).where(DEVICE.c.state != UNWANTED)
    for agent, endpoint in db.execute(devices.order_by(DEVICE.c.id)):
        phones[agent].append(endpoint)
    people = (
        select(AGENT.c.id, AGENT.c.name, AGENT_STATE.c.reserved_by, AGENT_STATE.c.talking)
        .outerjoin_from(AGENT, AGENT_STATE, AGENT_STATE.c.agent_id == AGENT.c.id)
        .where(~AGENT.c.removed)
        .order_by(AGENT.c.name)
    )
    return tuple(
        LiveAgent(row.name, row.reserved_by, bool(row.talking), tuple(phones[row.id]))
        for row in db.execute(people)
    )
