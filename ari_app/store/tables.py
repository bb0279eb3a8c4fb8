"""The rows, declared with SQLModel. Dumb on purpose: the core has its own frozen types.

Instants are INTEGER microseconds UTC and end in `_at`; JSON bodies are TEXT. Settings (number,
agent, device, member) are written by the CLI alone, everything else by the controller alone.
Migrations in `migrations/` are what makes the tables; a test holds the two together.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

NO_REUSE = {"sqlite_autoincrement": True}  # or an id of a deleted row would come back


def _instant(*, nullable: bool = False, index: bool = False) -> Column[int]:
    return Column(BigInteger, nullable=nullable, index=index)


def _belongs_to(target: str) -> Column[int]:
    return Column(Integer, ForeignKey(target, ondelete="CASCADE"), nullable=False, index=True)


class Number(SQLModel, table=True):
    """A shared line."""

    __table_args__ = NO_REUSE

    id: int | None = Field(default=None, primary_key=True)
    e164: str = Field(unique=True)
    label: str = ""
    strategy: str
    ring_s: int
    retry_s: int
    max_wait_s: int
    fallback: str = "announce"  # announce | number:+E164 | extension:EXTEN@CONTEXT
    shard: str


class Agent(SQLModel, table=True):
    """A person. Removed agents keep their row, so that the history keeps their names."""

    __table_args__ = (
        Index("ux_agent_name", "name", unique=True, sqlite_where=text("NOT removed")),
        Index("ux_agent_email", "email", unique=True, sqlite_where=text("NOT removed")),
        NO_REUSE,
    )

    id: int | None = Field(default=None, primary_key=True)
    name: str
    email: str | None = None
    removed: bool = False


class Device(SQLModel, table=True):
    """One PJSIP endpoint of an agent.

    A managed device is made in Asterisk by the controller: `state` goes from "wanted" to "ready"
    or "failed" (then `problem` says why), and from "unwanted" to no row.
    """

    __table_args__ = NO_REUSE

    id: int | None = Field(default=None, primary_key=True)
    agent_id: int = Field(sa_column=_belongs_to("agent.id"))
    endpoint: str = Field(unique=True)
    managed: bool = False
    digest: str = ""  # MD5 of user:realm:password, so that the password itself is not kept
    state: str = "ready"
    problem: str = ""


class Member(SQLModel, table=True):
    """An agent's place on a number."""

    __table_args__ = (UniqueConstraint("number_id", "agent_id"),)

    id: int | None = Field(default=None, primary_key=True)
    number_id: int = Field(sa_column=_belongs_to("number.id"))
    agent_id: int = Field(sa_column=_belongs_to("agent.id"))
    position: int
    may_ring: bool = True
    may_call_out: bool = True


class Plan(SQLModel, table=True):
    """A number's settings as they were at one version; calls refer to it for good."""

    number: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    body: str


class AgentState(SQLModel, table=True):
    """What the matcher knows of an agent; reserved by a conditional UPDATE."""

    __tablename__ = "agent_state"

    agent_id: int = Field(primary_key=True)
    reserved_by: int | None = None
    talking: bool = False
    backoff_until_at: int = Field(sa_column=_instant())
    idle_since_at: int = Field(sa_column=_instant())


class Call(SQLModel, table=True):
    """One call; `body` is the core's whole state of it, the other columns are for reading."""

    id: int | None = Field(default=None, primary_key=True)
    number: str = Field(index=True)
    caller_number: str
    caller_name: str
    channel: str = Field(index=True)
    place: str
    outcome: str | None = None
    agent_id: int | None = None
    arrived_at: int = Field(sa_column=_instant(index=True))
    answered_at: int | None = Field(default=None, sa_column=_instant(nullable=True))
    ended_at: int | None = Field(default=None, sa_column=_instant(nullable=True))
    live: bool = Field(index=True)
    plan_version: int | None = None
    body: str
    version: int
    shard: str
    epoch: int
    node: str = ""


class Attempt(SQLModel, table=True):
    """How one offer to one agent ended."""

    id: int | None = Field(default=None, primary_key=True)
    call_id: int = Field(index=True)
    agent_id: int = Field(index=True)
    round: int
    outcome: str
    since_at: int = Field(sa_column=_instant())
    ended_at: int = Field(sa_column=_instant())


class Journal(SQLModel, table=True):
    """One line per step: what happened, what it changed, what was asked for."""

    id: int | None = Field(default=None, primary_key=True)
    call_id: int = Field(index=True)
    at: int = Field(sa_column=_instant())
    event: str
    before: str
    after: str
    ignored: str = ""
    body: str
    commands: str


class Outbox(SQLModel, table=True):
    """A command that was decided and whose answer has not been committed yet."""

    id: int | None = Field(default=None, primary_key=True)
    call_id: int = Field(index=True)
    at: int = Field(sa_column=_instant())
    body: str


class Shard(SQLModel, table=True):
    """The epoch of a shard's owner: raised by each controller that takes the lease."""

    name: str = Field(primary_key=True)
    epoch: int


def _core(model: type[SQLModel]) -> Table:
    table: Table = vars(model)["__table__"]
    return table


# The same tables for SQLAlchemy Core statements: rows are moved without ORM objects.
NUMBER = _core(Number)
AGENT = _core(Agent)
DEVICE = _core(Device)
MEMBER = _core(Member)
PLAN = _core(Plan)
AGENT_STATE = _core(AgentState)
CALL = _core(Call)
ATTEMPT = _core(Attempt)
JOURNAL = _core(Journal)
OUTBOX = _core(Outbox)
SHARD = _core(Shard)
