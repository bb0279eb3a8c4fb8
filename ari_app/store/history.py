"""What became of calls: reads for `calls list`, `calls show` and the checks of `doctor`.

Contract: read only, inside the caller's transaction (config.reading). Instants in microseconds
UTC. Removed agents keep their names here.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from ari_app.store.engine import StoreError
from ari_app.store.tables import AGENT, ATTEMPT, CALL, JOURNAL

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
