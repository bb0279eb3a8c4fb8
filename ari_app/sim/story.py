"""One story: a script is played, the promises are watched, and in the end all must be clean."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from ari_app.core.events import after
from ari_app.core.plan import Device, Exit, Member, Plan, Strategy
from ari_app.sim.invariants import BrokenPromise, Invariants
from ari_app.sim.memory import MemoryStore
from ari_app.sim.people import People
from ari_app.sim.process import Process
from ari_app.sim.script import (
    HORIZON_S,
    NUMBERS,
    CallerItem,
    CrashItem,
    CutItem,
    DatabaseItem,
    HttpItem,
    Item,
    KillItem,
    PhoneItem,
)
from ari_app.sim.world import START_AT, World
from ari_app.store.plans import Config

AGENTS = 5
MAX_WAIT_S, RING_S, RETRY_S = 60, 15, 5
CHECK_EVERY_S = 5
# After the last caller: the longest wait, a talk, and time to be found again after every fault.
AFTER_S = 420


@dataclass(frozen=True, slots=True)
class Told:
    """How a story ended: None for `broken` if every promise was kept."""

    seed: int
    script: tuple[Item, ...]
    broken: str | None
    calls: int
    talked: int


def office() -> Config:
    """Two numbers, five agents; the first has two phones, and some are members of both numbers."""
    plans = (
        _plan(NUMBERS[0], Strategy.RING_ALL, (1, 2, 3)),
        _plan(NUMBERS[1], Strategy.IN_ORDER, (3, 4, 5)),
    )
    return Config({plan.number: plan for plan in plans}, frozenset(range(1, AGENTS + 1)), ())


def _plan(number: str, strategy: Strategy, agents: Iterable[int]) -> Plan:
    members = tuple(
        Member(agent, f"agent-{agent}", position, may_ring=True, devices=_devices(agent))
        for position, agent in enumerate(agents, start=1)
    )
    exit_ = Exit("nobody", number)
    return Plan(number, 1, strategy, RING_S, RETRY_S, MAX_WAIT_S, exit_, members)


def _devices(agent: int) -> tuple[Device, ...]:
    count = 2 if agent == 1 else 1
    return tuple(Device(agent * 10 + n, f"PJSIP/a{agent}-{n}") for n in range(1, count + 1))


def endpoints() -> tuple[str, ...]:
    """All phones of the office."""
    return tuple(device.endpoint for agent in range(1, AGENTS + 1) for device in _devices(agent))


class Story:
    """Everything in one world."""

    def __init__(self, seed: int, script: tuple[Item, ...], store: MemoryStore) -> None:
        self._seed = seed
        self._script = script
        self.world = World()
        agent_of = {d.id: a for a in range(1, AGENTS + 1) for d in _devices(a)}
        self.invariants = Invariants(agent_of, MAX_WAIT_S)
        self.people = People(self.world, seed, self.invariants)
        self.store = store
        self._dice = Random(f"{seed} network")
        self._restart_after_s = 0.0
        self._asterisk_is_up = True
        self._cut_until = START_AT
        self._start()

    def tell(self) -> Told:
        """Play it to the end, or to the first broken promise."""
        for number, item in enumerate(self._script):
            self._plan(number, item)
        broken = None
        try:
            self._play()
        except BrokenPromise as promise:
            broken = f"{promise} (at {self.world.second():.3f} s)"
        calls = sum(isinstance(item, CallerItem) for item in self._script)
        return Told(self._seed, self._script, broken, calls, self.invariants.talked)

    def _play(self) -> None:
        end_at = after(START_AT, HORIZON_S + AFTER_S)
        while self.world.at < end_at:
            self.world.run_until(after(self.world.at, CHECK_EVERY_S))
            self.invariants.nobody_waits_too_long(self.world.at)
        self.invariants.all_is_clean(self.people.asterisk, self.store)

    def _start(self) -> None:
        self.process = Process(
            self.world,
            self.people.asterisk,
            self.store,
            self.invariants,
            self._dice,
            self._on_killed,
        )
        self._connect()

    def _connect(self) -> None:
        """The websocket comes up as soon as nothing is in its way."""
        if not self._asterisk_is_up or self.world.at < self._cut_until:
            self.world.soon(0.1, self._connect)
        elif self.people.asterisk.emit is None:
            self.process.connect()

    def _on_killed(self) -> None:
        self.world.soon(self._restart_after_s, self._start)

    # --- the script's faults ---

    def _plan(self, number: int, item: Item) -> None:
        self.world.at_instant(after(START_AT, item.at_s), lambda: self._happen(number, item))

    def _happen(self, number: int, item: Item) -> None:
        match item:
            case CallerItem():
                if self._asterisk_is_up:
                    self.people.dial(f"chan-{number}", item)
            case KillItem(point=point, away_s=away_s):
                self._restart_after_s = away_s
                self.invariants.away_s += away_s
                self.process.kill_point = point
            case CutItem(away_s=away_s):
                self._cut(away_s)
            case DatabaseItem(away_s=away_s):
                self._lock_database(away_s)
            case HttpItem(away_s=away_s):
                self._stall_http(away_s)
            case CrashItem(away_s=away_s):
                self._crash_asterisk(away_s)
            case PhoneItem(endpoint=endpoint, away_s=away_s):
                self.people.unregister(endpoint, away_s)

    def _cut(self, away_s: float) -> None:
        self.invariants.away_s += away_s
        self._cut_until = max(self._cut_until, after(self.world.at, away_s))
        self.process.disconnect()
        self._connect()

    def _lock_database(self, away_s: float) -> None:
        self.invariants.away_s += away_s
        self.store.is_away = True
        self.world.soon(away_s, self._unlock_database)

    def _unlock_database(self) -> None:
        self.store.is_away = False

    def _stall_http(self, away_s: float) -> None:
        self.invariants.away_s += away_s
        process = self.process
        process.http_is_dead = True

        def over() -> None:
            process.http_is_dead = False

        self.world.soon(away_s, over)

    def _crash_asterisk(self, away_s: float) -> None:
        self.people.forget()
        self._asterisk_is_up = False
        self.process.disconnect()
        self.world.soon(away_s, self._asterisk_returns)

    def _asterisk_returns(self) -> None:
        self._asterisk_is_up = True
        self._connect()


def tell(seed: int, script: tuple[Item, ...]) -> Told:
    """The story of a script, in memory."""
    return Story(seed, script, MemoryStore(office())).tell()
