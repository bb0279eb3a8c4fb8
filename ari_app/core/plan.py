"""A number's settings, frozen at one version: all that routing needs to know, and nothing live.

A call keeps the version it arrived with. Durations are in seconds.
"""

from dataclasses import dataclass
from enum import StrEnum


class Strategy(StrEnum):
    """Who is offered a call: design.md section 5."""

    RING_ALL = "ring-all"
    IN_ORDER = "in-order"


@dataclass(frozen=True, slots=True)
class Device:
    """One phone of an agent. `confirm`: 1 must be pressed before the answer counts (a mobile)."""

    id: int
    endpoint: str
    confirm: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """An agent's place on a number."""

    agent: int
    name: str
    position: int
    may_ring: bool
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class Exit:
    """A place in the dialplan where a caller goes on when we can do no more."""

    context: str
    extension: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of one number. `members` are sorted by (position, agent)."""

    number: str
    version: int
    strategy: Strategy
    ring_s: int
    retry_s: int
    max_wait_s: int
    fallback: Exit
    members: tuple[Member, ...]


# How much longer than `max_wait_s` a caller may be in our hands before we must be dead.
GUARD_S = 60

# What a call to a number that isn't ours goes by: nobody to ring, an announcement, version 0.
UNKNOWN_NUMBER = Plan(
    number="",
    version=0,
    strategy=Strategy.RING_ALL,
    ring_s=0,
    retry_s=0,
    max_wait_s=0,
    fallback=Exit("unknown", "s"),
    members=(),
)
