"""What happens in a seed: a list of callers and faults that can be written down and cut short.

A seed makes a script; a script and its seed replay exactly. The shrinker takes items away, so each
item brings its own chances with it (`luck`) rather than drawing from a common stream.
"""

from dataclasses import dataclass
from random import Random

NUMBERS = ("+493011111", "+493022222")
CALLERS, HORIZON_S = 24, 240.0


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
    """The controller is killed at `point` of its first turn after `at_s`, and away for `away_s`.

    Points: before the commit, after it, or after the n-th command of a turn has left.
    """

    at_s: float
    point: str
    away_s: float


@dataclass(frozen=True, slots=True)
class CutItem:
    """The websocket is cut for `away_s`; the controller lives."""

    at_s: float
    away_s: float


@dataclass(frozen=True, slots=True)
class DatabaseItem:
    """Commits fail for `away_s`."""

    at_s: float
    away_s: float


@dataclass(frozen=True, slots=True)
class HttpItem:
    """Requests get no answer for `away_s`; half of them take effect all the same."""

    at_s: float
    away_s: float


@dataclass(frozen=True, slots=True)
class CrashItem:
    """Asterisk is killed, and there again after `away_s`."""

    at_s: float
    away_s: float


@dataclass(frozen=True, slots=True)
class PhoneItem:
    """A phone is gone for `away_s`."""

    at_s: float
    endpoint: str
    away_s: float


Item = CallerItem | KillItem | CutItem | DatabaseItem | HttpItem | CrashItem | PhoneItem
POINTS = ("before commit", "after commit", "after command 1", "after command 2")


def write(seed: int, endpoints: tuple[str, ...], *, faults: bool = True) -> tuple[Item, ...]:
    """The script of a seed, in order of time."""
    dice = Random(seed)
    items: list[Item] = [_caller(dice) for _ in range(CALLERS)]
    if faults:
        items += [_fault(dice, endpoints) for _ in range(dice.randint(0, 6))]
    return tuple(sorted(items, key=lambda item: item.at_s))


def _caller(dice: Random) -> CallerItem:
    return CallerItem(
        at_s=round(dice.uniform(0, HORIZON_S), 3),
        number=dice.choice(NUMBERS),
        patience_s=round(dice.expovariate(1 / 60) + 1, 3),
        talk_s=round(dice.expovariate(1 / 20) + 0.2, 3),
        caller_ends=dice.random() < 0.5,
    )


def _fault(dice: Random, endpoints: tuple[str, ...]) -> Item:
    at_s, away_s = round(dice.uniform(0, HORIZON_S), 3), round(dice.expovariate(1 / 4), 3)
    match dice.randint(0, 9):
        case 0 | 1 | 2 | 3:
            return KillItem(at_s, dice.choice(POINTS), away_s)
        case 4 | 5:
            return CutItem(at_s, away_s)
        case 6:
            return DatabaseItem(at_s, 3 * away_s)
        case 7:
            return HttpItem(at_s, away_s)
        case 8:
            return CrashItem(at_s, away_s)
        case _:
            return PhoneItem(at_s, dice.choice(endpoints), 5 * away_s)
