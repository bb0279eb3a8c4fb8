"""From settings rows to frozen plans: a plan gets a new version whenever its content changes."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from ari_app import endpoints
from ari_app.core import plan as core
from ari_app.store import codec
from ari_app.store.tables import AGENT, AGENT_STATE, DEVICE, MEMBER, NUMBER, PLAN

WANTED, UNWANTED, READY, FAILED = "wanted", "unwanted", "ready", "failed"


@dataclass(frozen=True, slots=True)
class Phone:
    """A device that we make in Asterisk, and how far that has come."""

    device: int
    endpoint: str
    digest: str
    state: str


@dataclass(frozen=True, slots=True)
class Config:
    """All settings at one instant: the newest plan of each number, agents, managed phones.

    `problems` are numbers that can't be used, a line each; callers of these hear that there is no
    such number, and everybody else is served.
    """

    plans: Mapping[str, core.Plan]
    agents: frozenset[int]
    phones: tuple[Phone, ...]
    problems: tuple[str, ...] = ()


def read_config(connection: Connection, shard: str) -> Config:
    """The settings as they are now; changed plans are written down under a new version."""
    devices = _devices(connection)
    plans = {}
    numbers = connection.execute(select(NUMBER).where(NUMBER.c.shard == shard)).all()
    ours = {row.e164 for row in numbers}
    problems = []
    for row in numbers:
        members = _members(connection, row.id, devices)
        try:
            plans[row.e164] = _versioned(connection, _plan(row, members, ours))
        except ValueError as error:
            problems.append(f"{row.e164}: {error}: set it anew with `sharedline numbers set`")
    agents = connection.execute(select(AGENT.c.id).where(~AGENT.c.removed)).scalars()
    return Config(plans, frozenset(agents), _phones(connection), tuple(problems))


def add_missing_agent_states(connection: Connection, at: int) -> None:
    """A new agent is idle since `at`, the moment the controller learnt of it."""
    known = select(AGENT_STATE.c.agent_id)
    new = connection.execute(select(AGENT.c.id).where(AGENT.c.id.not_in(known))).scalars().all()
    fresh = {"reserved_by": None, "talking": False, "backoff_until_at": 0, "idle_since_at": at}
    if new:
        connection.execute(insert(AGENT_STATE), [{"agent_id": agent, **fresh} for agent in new])


def find_plan(connection: Connection, number: str, version: int) -> core.Plan:
    """The plan that a call was, or is, routed by."""
    if version == core.UNKNOWN_NUMBER.version:
        return core.UNKNOWN_NUMBER
    query = select(PLAN.c.body).where(PLAN.c.number == number, PLAN.c.version == version)
    body = connection.execute(query).scalar()
    if body is None:
        raise ValueError(f"there is no version {version} of the plan of {number}")
    return codec.load_plan(body)


def _devices(connection: Connection) -> dict[int, list[core.Device]]:
    found = defaultdict(list)
    # One that is wanted may be in Asterisk already, with its former password. One that failed may
    # be somebody else's: an endpoint of pjsip.conf.
    usable = DEVICE.c.state.in_([READY, WANTED])
    for row in connection.execute(select(DEVICE).where(usable).order_by(DEVICE.c.id)):
        if _is_dialable(row.endpoint):
            found[row.agent_id].append(core.Device(row.id, row.endpoint))
    return found


def _is_dialable(endpoint: str) -> bool:
    try:
        return endpoints.checked(endpoint) == endpoint
    except endpoints.BadEndpoint:
        return False


def _members(
    connection: Connection, number: int, devices: Mapping[int, list[core.Device]]
) -> tuple[core.Member, ...]:
    query = (
        select(MEMBER.c.agent_id, AGENT.c.name, MEMBER.c.position, MEMBER.c.may_ring)
        .join(AGENT, AGENT.c.id == MEMBER.c.agent_id)
        .where(MEMBER.c.number_id == number)
        .order_by(MEMBER.c.position, MEMBER.c.agent_id)
    )
    return tuple(
        core.Member(*row, devices=tuple(devices.get(row.agent_id, ())))
        for row in connection.execute(query)
    )


def _plan(row: Row[Any], members: tuple[core.Member, ...], ours: set[str]) -> core.Plan:
    return core.Plan(
        number=row.e164,
        version=0,
        strategy=core.Strategy(row.strategy),
        ring_s=row.ring_s,
        retry_s=row.retry_s,
        max_wait_s=row.max_wait_s,
        fallback=_exit(row.fallback, row.e164, ours),
        members=members,
    )


def _exit(fallback: str, number: str, ours: set[str]) -> core.Exit:
    kind, _, target = fallback.partition(":")
    match kind:
        case "announce":
            return core.Exit("nobody", number)
        case "number":
            return core.Exit("forward" if target in ours else "outbound", target)
        case "extension":
            extension, _, context = target.partition("@")
            return core.Exit(context, extension)
        case _:
            raise ValueError(f"unknown fallback {fallback!r} of {number}")


def _versioned(connection: Connection, plan: core.Plan) -> core.Plan:
    newest = select(func.max(PLAN.c.version)).where(PLAN.c.number == plan.number)
    version = connection.execute(newest).scalar() or 0
    if version and find_plan(connection, plan.number, version) == replace(plan, version=version):
        return replace(plan, version=version)
    plan = replace(plan, version=version + 1)
    row = {"number": plan.number, "version": plan.version, "body": codec.dump_plan(plan)}
    connection.execute(insert(PLAN).values(row))
    return plan


def _phones(connection: Connection) -> tuple[Phone, ...]:
    query = select(DEVICE).where(DEVICE.c.managed).order_by(DEVICE.c.id)
    return tuple(
        Phone(row.id, row.endpoint, row.digest, row.state) for row in connection.execute(query)
    )
