"""What happens in a seed: a list of callers and faults that can be written down and cut short.

A seed makes a script; a script and its seed replay exactly. Taking an item away changes what comes
after it only through what it did, and through the common dice of network and phones.
"""

from dataclasses import dataclass, replace
from random import Random
from typing import Any, get_args

import msgspec

NUMBERS = ("+493011111", "+493022222")
AGENTS = 5
CALLERS, HORIZON_S = 24, 240.0
STARTS_IN_S = 0.05  # no process is there sooner after its predecessor's death


@dataclass(frozen=True, slots=True)
class CallerItem:
    """Somebody dials at `at_s`, gives up after `patience_s`, and would talk for `talk_s`."""

    at_s: float
    number: str
    patience_s: float
    talk_s: float
    caller_ends: bool


@dataclass(frozen=True, slots=True)
class KillItem:
    """The controller is killed the `nth` time after `at_s` that it passes `point`.

    The next one starts after `away_s`. Points are in the order of a turn; see `POINTS`.
    """

    at_s: float
    point: str
    nth: int
    away_s: float


@dataclass(frozen=True, slots=True)
class CutItem:
    """The websocket is cut for `away_s`; the controller lives, events are lost.

    At once, or when the `nth` request after `at_s` has taken effect and its events are in the
    socket.
    """

    at_s: float
    away_s: float
    nth: int = 0


@dataclass(frozen=True, slots=True)
class FlutterItem:
    """For `away_s` events come late, up to seconds, and some come twice."""

    at_s: float
    away_s: float


@dataclass(frozen=True, slots=True)
class DatabaseItem:
    """Somebody else has the database locked for `away_s`."""

    at_s: float
    away_s: float


@dataclass(frozen=True, slots=True)
class HttpItem:
    """Requests get no answer for `away_s`; this part of them has no effect either."""

    at_s: float
    away_s: float
    lost: float


@dataclass(frozen=True, slots=True)
class CrashItem:
    """Asterisk is killed, and there again after `away_s`."""

    at_s: float
    away_s: float


@dataclass(frozen=True, slots=True)
class PhoneItem:
    """A phone is gone for `away_s`: nobody can ring it. If it `drops`, its calls end as well."""

    at_s: float
    endpoint: str
    away_s: float
    drops: bool


@dataclass(frozen=True, slots=True)
class SettingsItem:
    """An admin gives the number these members, in this order, and this time to ring."""

    at_s: float
    number: str
    agents: tuple[int, ...]
    ring_s: int


Item = (
    CallerItem
    | KillItem
    | CutItem
    | FlutterItem
    | DatabaseItem
    | HttpItem
    | CrashItem
    | PhoneItem
    | SettingsItem
)

BEFORE_COMMIT, AFTER_COMMIT = "before commit", "after commit"
BEFORE_REQUEST = "before request"  # committed, and never sent
REQUEST_SENT = "request sent"  # it will take effect with nobody there to hear
REQUEST_DONE = "request done"  # it took effect; the answer is lost
POINTS = (BEFORE_COMMIT, AFTER_COMMIT, BEFORE_REQUEST, REQUEST_SENT, REQUEST_DONE)


def write(seed: int, endpoints: tuple[str, ...], *, faults: bool = True) -> tuple[Item, ...]:
    """The script of a seed, in order of time."""
    dice = Random(seed)
    items: list[Item] = [_caller(dice) for _ in range(CALLERS)]
    for _ in range(dice.randint(0, 5) if faults else 0):
        fault = _fault(dice, endpoints)
        items += [fault, *_bystander(dice, fault)]
        if dice.random() < 0.4:  # two close together, in the first's wake or in its midst
            second = _fault(dice, endpoints)
            items.append(replace(second, at_s=round(fault.at_s + dice.expovariate(1), 3)))
    return tuple(sorted(items, key=lambda item: item.at_s))


def dump(seed: int, script: tuple[Item, ...]) -> str:
    """A script as JSON, an item a line."""
    lines = [_json({"kind": type(item).__name__} | msgspec.to_builtins(item)) for item in script]
    return f'{{"seed": {seed}, "script": [\n' + ",\n".join(lines) + "\n]}\n"


def load(text: str) -> tuple[int, tuple[Item, ...]]:
    """Seed and script of `dump`."""
    body = msgspec.json.decode(text)
    kinds: dict[str, Any] = {kind.__name__: kind for kind in get_args(Item)}
    items = tuple(msgspec.convert(item, kinds[item.pop("kind")]) for item in body["script"])
    return body["seed"], items


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _caller(dice: Random) -> CallerItem:
    return CallerItem(
        at_s=round(dice.uniform(0, HORIZON_S), 3),
        number=dice.choice(NUMBERS),
        patience_s=round(dice.expovariate(1 / 60) + 1, 3),
        talk_s=round(dice.expovariate(1 / 20) + 0.2, 3),
        caller_ends=dice.random() < 0.5,
    )


def _bystander(dice: Random, fault: Item) -> list[Item]:
    """Somebody who dials in the very instant, for that is when people get lost."""
    if not isinstance(fault, KillItem | CutItem | HttpItem) or dice.random() < 0.5:
        return []
    within_s = fault.away_s if isinstance(fault, HttpItem) else 0.001
    return [replace(_caller(dice), at_s=round(fault.at_s + dice.uniform(-0.004, within_s), 6))]


def _fault(dice: Random, endpoints: tuple[str, ...]) -> Item:
    at_s, away_s = round(dice.uniform(0, HORIZON_S), 3), round(dice.expovariate(1 / 4), 3)
    match dice.randint(0, 11):
        case 0 | 1 | 2 | 3:
            nth = 1 + int(dice.expovariate(1 / 4))
            return KillItem(at_s, dice.choice(POINTS), nth, STARTS_IN_S + away_s)
        case 4 | 5:
            return CutItem(at_s, away_s * dice.choice((1, 1, 4)), dice.randint(0, 8))
        case 6:
            return DatabaseItem(at_s, 3 * away_s)
        case 7:
            return HttpItem(at_s, away_s, dice.choice((0.3, 0.6, 1.0)))
        case 8:
            return CrashItem(at_s, away_s)
        case 9:
            return FlutterItem(at_s, 5 * away_s)
        case 10:
            return PhoneItem(at_s, dice.choice(endpoints), 5 * away_s, dice.random() < 0.5)
        case _:
            agents = dice.sample(range(1, AGENTS + 1), dice.randint(1, 4))
            return SettingsItem(at_s, dice.choice(NUMBERS), tuple(agents), dice.choice((8, 15, 25)))
