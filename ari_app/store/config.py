"""What the CLI reads and writes: numbers, agents with their devices, and members.

Contract: `reading` and `changing` give a connection inside one transaction; every function works
within it, so that a command changes all it says or nothing. Values (E.164 numbers, names, emails,
fallbacks, seconds) arrive checked by the CLI's parameter types; what depends on other rows is
checked here, and refused with a StoreError that says what to do. Durations in seconds.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, func, insert, select, true, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import ColumnElement

from ari_app import endpoints
from ari_app.store.engine import StoreError, writing
from ari_app.store.plans import READY, UNWANTED, WANTED
from ari_app.store.tables import AGENT, DEVICE, MEMBER, NUMBER

MAX_NUMBERS = 10_000
MAX_AGENTS = 10_000
MAX_MEMBERS = 100
MAX_DEVICES = 10
ANNOUNCE = "announce"
SETTINGS = ("label", "strategy", "ring_s", "retry_s", "max_wait_s", "fallback")

Where = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class NumberRow:
    """A number's settings, and how many members it has."""

    number: str
    label: str
    strategy: str
    ring_s: int
    retry_s: int
    max_wait_s: int
    fallback: str
    members: int


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One phone. `managed` ones are made in Asterisk by the controller: `state` says how far."""

    endpoint: str
    managed: bool
    state: str
    problem: str


@dataclass(frozen=True, slots=True)
class AgentRow:
    """A person with phones, and the numbers they are a member of."""

    id: int
    name: str
    email: str | None
    devices: tuple[DeviceRow, ...]
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemberRow:
    """An agent's place on a number; `devices` counts the phones that can ring."""

    number: str
    position: int
    agent: str
    email: str | None
    may_ring: bool
    may_call_out: bool
    devices: int


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that only reads. Raises StoreError."""
    with _plainly(), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def changing(engine: Engine) -> Iterator[Connection]:
    """One transaction that holds the write lock: all of it is kept, or none. Raises StoreError."""
    with _plainly(), writing(engine) as connection:
        yield connection


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StoreError(f"the database can't be used now: {reason}") from error


def _bounded(db: Connection, table: Table, limit: int, where: Where) -> None:
    found = db.execute(select(func.count()).select_from(table).where(where)).scalar_one()
    if found >= limit:
        raise StoreError(f"there are {limit} {table.name}s already, the most that are supported")


def list_numbers(db: Connection, where: Where | None = None) -> tuple[NumberRow, ...]:
    """All numbers, sorted."""
    settings: list[Any] = [NUMBER.c[name] for name in SETTINGS]
    query = (
        select(NUMBER.c.e164, *settings, func.count(MEMBER.c.id))
        .outerjoin(MEMBER, MEMBER.c.number_id == NUMBER.c.id)
        .where(true() if where is None else where)
        .group_by(NUMBER.c.id)
        .order_by(NUMBER.c.e164)
    )
    rows: Any = db.execute(query)
    return tuple(NumberRow(*row) for row in rows)


def find_number(db: Connection, e164: str) -> NumberRow:
    """The number. Raises StoreError if it is not ours."""
    found = list_numbers(db, NUMBER.c.e164 == e164)
    if not found:
        raise StoreError(f"{e164} is not one of our numbers: see `sharedline numbers list`")
    return found[0]


def add_number(db: Connection, e164: str, shard: str, settings: Mapping[str, str | int]) -> None:
    """A new number; `settings` holds label, strategy, ring_s, retry_s, max_wait_s, fallback."""
    if list_numbers(db, NUMBER.c.e164 == e164):
        raise StoreError(f"{e164} exists already: change it with `sharedline numbers set {e164}`")
    _bounded(db, NUMBER, MAX_NUMBERS, true())
    _refuse_loop(db, e164, str(settings["fallback"]))
    db.execute(insert(NUMBER).values(e164=e164, shard=shard, **settings))


def set_number(db: Connection, e164: str, settings: Mapping[str, str | int]) -> None:
    """Change some settings of a number."""
    find_number(db, e164)
    _refuse_loop(db, e164, str(settings.get("fallback", ANNOUNCE)))
    db.execute(update(NUMBER).where(NUMBER.c.e164 == e164).values(**settings))


def remove_number(db: Connection, e164: str) -> None:
    """Remove a number and its memberships; its history stays."""
    find_number(db, e164)
    users = select(NUMBER.c.e164).where(NUMBER.c.fallback == f"number:{e164}")
    if user := db.execute(users).scalar():
        raise StoreError(
            f"{e164} is the fallback of {user}:"
            f" first give that another, `sharedline numbers set {user} --fallback announce`"
        )
    db.execute(delete(NUMBER).where(NUMBER.c.e164 == e164))


def _refuse_loop(db: Connection, e164: str, fallback: str) -> None:
    passed: list[str] = []
    while fallback.startswith("number:") and len(passed) <= MAX_NUMBERS:
        passed.append(fallback.removeprefix("number:"))
        if passed[-1] == e164:
            way = " -> ".join([e164, *passed])
            raise StoreError(f"the fallback leads back to {e164} ({way}): choose another")
        onward = select(NUMBER.c.fallback).where(NUMBER.c.e164 == passed[-1])
        fallback = db.execute(onward).scalar() or ANNOUNCE


def list_agents(db: Connection, where: Where | None = None) -> tuple[AgentRow, ...]:
    """All agents who have not been removed, sorted by name."""
    condition = ~AGENT.c.removed if where is None else where & ~AGENT.c.removed
    wanted = select(AGENT.c.id).where(condition)
    devices = select(DEVICE).where(DEVICE.c.agent_id.in_(wanted), DEVICE.c.state != UNWANTED)
    phones: defaultdict[int, list[DeviceRow]] = defaultdict(list)
    for row in db.execute(devices.order_by(DEVICE.c.id)):
        phones[row.agent_id].append(DeviceRow(row.endpoint, row.managed, row.state, row.problem))
    member_of = select(MEMBER.c.agent_id, NUMBER.c.e164).join(NUMBER)
    numbers: defaultdict[int, list[str]] = defaultdict(list)
    for row in db.execute(member_of.where(MEMBER.c.agent_id.in_(wanted)).order_by(NUMBER.c.e164)):
        numbers[row.agent_id].append(row.e164)
    people = select(AGENT.c.id, AGENT.c.name, AGENT.c.email).where(condition)
    return tuple(
        AgentRow(*row, tuple(phones[row.id]), tuple(numbers[row.id]))
        for row in db.execute(people.order_by(AGENT.c.name))
    )


def find_agent(db: Connection, who: str) -> AgentRow:
    """The agent by name or email (names hold no @). Raises StoreError if there is none."""
    column, value = (AGENT.c.email, who.lower()) if "@" in who else (AGENT.c.name, who)
    found = list_agents(db, column == value)
    if not found:
        raise StoreError(f"there is no agent {who}: see `sharedline agents list`")
    return found[0]


def add_agent(db: Connection, name: str, email: str | None) -> AgentRow:
    """A new agent, without devices."""
    _refuse_twin(db, 0, {"name": name, "email": email})
    _bounded(db, AGENT, MAX_AGENTS, ~AGENT.c.removed)
    db.execute(insert(AGENT).values(name=name, email=email, removed=False))
    return find_agent(db, name)


def set_agent(db: Connection, agent: AgentRow, settings: Mapping[str, str | None]) -> None:
    """Change the name or email, or take the email away (None)."""
    _refuse_twin(db, agent.id, settings)
    db.execute(update(AGENT).where(AGENT.c.id == agent.id).values(**settings))


def remove_agent(db: Connection, agent: AgentRow) -> None:
    """Take the agent off all numbers and give up the devices; the history keeps the name."""
    for number in agent.numbers:
        remove_member(db, number, agent)
    for device in agent.devices:
        remove_device(db, agent, device.endpoint)
    db.execute(update(AGENT).where(AGENT.c.id == agent.id).values(removed=True))


def _refuse_twin(db: Connection, agent: int, settings: Mapping[str, str | None]) -> None:
    for column, value in settings.items():
        same = (AGENT.c[column] == value) & ~AGENT.c.removed & (AGENT.c.id != agent)
        if value is not None and db.execute(select(AGENT.c.id).where(same)).first():
            raise StoreError(f"there is an agent with the {column} {value} already: choose another")


def free_endpoint(db: Connection, base: str) -> str:
    """An endpoint that no device has yet: PJSIP/base, or PJSIP/base-2 and so on."""
    names = (f"PJSIP/{base}" if n == 1 else f"PJSIP/{base}-{n}" for n in count(1))
    return next(name for name in names if not _device(db, name))


def add_device(db: Connection, agent: AgentRow, endpoint: str, digest: str | None = None) -> None:
    """One more phone. With a `digest` (endpoints.digest) the controller makes it in Asterisk."""
    endpoints.checked(endpoint)
    taken = _device(db, endpoint)
    if taken and taken.state == UNWANTED:
        raise StoreError(f"{endpoint} is still being removed: try again when `serve` has done it")
    if taken:
        owner = db.execute(select(AGENT.c.name).where(AGENT.c.id == taken.agent_id)).scalar_one()
        raise StoreError(f"{endpoint} belongs to {owner}: an endpoint has one agent")
    ours = (DEVICE.c.agent_id == agent.id) & (DEVICE.c.state != UNWANTED)
    _bounded(db, DEVICE, MAX_DEVICES, ours)
    made = {"managed": True, "digest": digest, "state": WANTED}
    found = {"managed": False, "digest": "", "state": READY}
    row = {"agent_id": agent.id, "endpoint": endpoint, "problem": ""}
    db.execute(insert(DEVICE).values(row | (made if digest else found)))


def set_digest(db: Connection, agent: AgentRow, endpoint: str, digest: str) -> None:
    """A new password for a phone that we make ourselves."""
    device = _device_of(db, agent, endpoint)
    if not device.managed:
        raise StoreError(f"{endpoint} was not made by sharedline: its password is in pjsip.conf")
    new = update(DEVICE).where(DEVICE.c.id == device.id)
    db.execute(new.values(digest=digest, state=WANTED, problem=""))


def remove_device(db: Connection, agent: AgentRow, endpoint: str) -> None:
    """Give a phone up. The controller deletes a managed one in Asterisk, and then its row."""
    device = _device_of(db, agent, endpoint)
    unwanted = update(DEVICE).values(state=UNWANTED, problem="")
    gone = unwanted if device.managed else delete(DEVICE)
    db.execute(gone.where(DEVICE.c.id == device.id))


def _device(db: Connection, endpoint: str) -> Any:
    return db.execute(select(DEVICE).where(DEVICE.c.endpoint == endpoint)).first()


def _device_of(db: Connection, agent: AgentRow, endpoint: str) -> Any:
    device = _device(db, endpoint)
    if device is None or device.agent_id != agent.id or device.state == UNWANTED:
        raise StoreError(f"{agent.name} has no {endpoint}: see `sharedline agents list`")
    return device


def list_members(db: Connection, e164: str | None = None) -> tuple[MemberRow, ...]:
    """The members of one number, or of all, by position."""
    shown = (NUMBER.c.e164, MEMBER.c.position, AGENT.c.name, AGENT.c.email)
    ready = (DEVICE.c.agent_id == AGENT.c.id) & (DEVICE.c.state == READY)
    query = (
        select(*shown, MEMBER.c.may_ring, MEMBER.c.may_call_out, func.count(DEVICE.c.id))
        .select_from(MEMBER.join(NUMBER).join(AGENT).outerjoin(DEVICE, ready))
        .where(true() if e164 is None else NUMBER.c.e164 == e164)
        .group_by(MEMBER.c.id)
        .order_by(NUMBER.c.e164, MEMBER.c.position)
    )
    return tuple(MemberRow(*row) for row in db.execute(query))


def put_member(
    db: Connection, e164: str, agent: AgentRow, position: int | None, may: Mapping[str, bool]
) -> MemberRow:
    """Make the agent a member, last unless a position is given; or change a member's place.

    `may` holds may_ring and may_call_out, or one of them, or none: then a member keeps them, and
    a new one may do both. Positions stay 1..n, so a position beyond the last is the last.
    """
    number = _number_id(db, e164)
    order, ours = _order(db, number), MEMBER.c.number_id == number
    if agent.id not in order:
        _bounded(db, MEMBER, MAX_MEMBERS, ours)
        both = {"may_ring": True, "may_call_out": True, **may}
        db.execute(insert(MEMBER).values(number_id=number, agent_id=agent.id, position=0, **both))
        position = position or len(order) + 1
    elif may:
        db.execute(update(MEMBER).where(ours, MEMBER.c.agent_id == agent.id).values(**may))
    if position is not None:
        others = [other for other in order if other != agent.id]
        others.insert(position - 1, agent.id)
        _renumber(db, number, others)
    return next(row for row in list_members(db, e164) if row.agent == agent.name)


def remove_member(db: Connection, e164: str, agent: AgentRow) -> None:
    """Take the agent off the number; the others move up."""
    number = _number_id(db, e164)
    member = (MEMBER.c.number_id == number) & (MEMBER.c.agent_id == agent.id)
    if not db.execute(delete(MEMBER).where(member)).rowcount:
        raise StoreError(f"{agent.name} is no member of {e164}: see `sharedline members list`")
    _renumber(db, number, _order(db, number))


def _number_id(db: Connection, e164: str) -> int:
    find_number(db, e164)
    return int(db.execute(select(NUMBER.c.id).where(NUMBER.c.e164 == e164)).scalar_one())


def _order(db: Connection, number: int) -> Sequence[int]:
    query = select(MEMBER.c.agent_id).where(MEMBER.c.number_id == number)
    return db.execute(query.order_by(MEMBER.c.position, MEMBER.c.agent_id)).scalars().all()


def _renumber(db: Connection, number: int, order: Sequence[int]) -> None:
    for position, agent in enumerate(order, start=1):
        member = (MEMBER.c.number_id == number) & (MEMBER.c.agent_id == agent)
        db.execute(update(MEMBER).where(member).values(position=position))
