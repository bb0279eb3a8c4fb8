"""One story: a script is played, the promises are watched, and in the end all must be clean."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from ari_app.ari.ids import parse_leg
from ari_app.core.events import after
from ari_app.core.plan import Device, Exit, Member, Plan, Strategy
from ari_app.sim.invariants import BrokenPromise, Invariants
from ari_app.sim.memory import DiskStore, Keeper, Line, MemoryStore
from ari_app.sim.people import People
from ari_app.sim.process import Process, Weather
from ari_app.sim.script import (
    AGENTS,
    HORIZON_S,
    NUMBERS,
    CallerItem,
    CrashItem,
    CutItem,
    DatabaseItem,
    FlutterItem,
    HttpItem,
    Item,
    KillItem,
    PhoneItem,
    SettingsItem,
)
from ari_app.sim.world import START_AT, World
from ari_app.store.engine import StoreError
from ari_app.store.plans import Config

MAX_WAIT_S, RING_S, RETRY_S = 60, 15, 5
STRATEGIES = {NUMBERS[0]: Strategy.RING_ALL, NUMBERS[1]: Strategy.IN_ORDER}
CHECK_EVERY_S = 5
START_AGAIN_S = 2  # systemd's RestartSec, where a controller could not start
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
    journal: tuple[Line, ...] = ()
    trace: tuple[str, ...] = ()


def office() -> Config:
    """Two numbers, five agents; the first has two phones, and some are members of both numbers."""
    plans = (make_plan(NUMBERS[0], (1, 2, 3)), make_plan(NUMBERS[1], (3, 4, 5)))
    return Config({plan.number: plan for plan in plans}, frozenset(range(1, AGENTS + 1)), ())


def make_plan(number: str, agents: Iterable[int], ring_s: int = RING_S) -> Plan:
    """The settings of one of the office's numbers."""
    members = tuple(
        Member(agent, f"agent-{agent}", position, may_ring=True, devices=_devices(agent))
        for position, agent in enumerate(agents, start=1)
    )
    exit_ = Exit("nobody", number)
    return Plan(number, 1, STRATEGIES[number], ring_s, RETRY_S, MAX_WAIT_S, exit_, members)


def _devices(agent: int) -> tuple[Device, ...]:
    count = 2 if agent == 1 else 1
    return tuple(Device(agent * 10 + n, f"PJSIP/a{agent}-{n}") for n in range(1, count + 1))


def endpoints() -> tuple[str, ...]:
    """All phones of the office."""
    return tuple(device.endpoint for agent in range(1, AGENTS + 1) for device in _devices(agent))


class Story:
    """Everything in one world. With `traced`, it can be read afterwards."""

    def __init__(
        self, seed: int, script: tuple[Item, ...], store: Keeper, *, traced: bool = False
    ) -> None:
        self._seed = seed
        self._script = script
        self._traced = traced
        self._trace: list[str] = []
        self.world = World()
        agent_of = {d.id: a for a in range(1, AGENTS + 1) for d in _devices(a)}
        self.invariants = Invariants(self.world, agent_of, MAX_WAIT_S, self._tell)
        self.people = People(self.world, seed, self.invariants)
        self.store = store
        self._dice = Random(f"{seed} network")
        self._weather = Weather()
        self._restart_after_s = 0.0
        self._asterisk_is_up = True
        self._cut_until = START_AT
        self.process: Process | None = None
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
        told = Told(self._seed, self._script, broken, calls, self.invariants.talked)
        if self._traced:
            self.store.is_away = False
            told = replace(told, journal=tuple(self.store.journal()), trace=tuple(self._trace))
        return told

    def _play(self) -> None:
        end_at = after(START_AT, HORIZON_S + AFTER_S)
        while self.world.at < end_at:
            self.world.run_until(after(self.world.at, CHECK_EVERY_S))
            self.invariants.nobody_waits_too_long()
            self.invariants.nothing_lies_about(self.people.asterisk)
            if self.process is not None and self.process.is_at_rest():
                self.invariants.nobody_is_forgotten(self.process.mind)
        self.invariants.all_is_clean(self.people.asterisk, self.store)

    def _tell(self, who: str, what: str) -> None:
        if self._traced:
            self._trace.append(f"{self.world.second():9.3f}  {who:<8} {what}")

    # --- the controller's lives ---

    def _start(self) -> None:
        try:
            self.process = Process(
                self.world,
                self.people.asterisk,
                self.store,
                self.invariants,
                self._dice,
                self._weather,
                self._on_killed,
                self._tell,
            )
        except StoreError as error:
            self._tell("fault", f"the controller can't start: {error}")
            self.invariants.trouble(START_AGAIN_S)
            self.world.soon(START_AGAIN_S, self._start)
        else:
            self._tell("us", "the controller starts")
            self._connect()

    def _connect(self) -> None:
        """The websocket comes up as soon as nothing is in its way."""
        if self.process is None or self.people.asterisk.emit is not None:
            return
        if not self._asterisk_is_up or self.world.at < self._cut_until:
            self.world.soon(0.1, self._connect)
        else:
            self._tell("us", "the websocket is up")
            self.process.connect()

    def _on_killed(self) -> None:
        self.process = None
        self.invariants.trouble(self._restart_after_s)
        self.world.soon(self._restart_after_s, self._start)

    # --- the script's faults ---

    def _plan(self, number: int, item: Item) -> None:
        self.world.at_instant(after(START_AT, item.at_s), lambda: self._happen(number, item))

    def _happen(self, number: int, item: Item) -> None:
        match item:
            case CallerItem():
                if self._asterisk_is_up:
                    self.people.dial(f"chan-{number}", item)
            case SettingsItem():
                self._change_settings(item)
            case _:
                self._tell("fault", str(item))
                self._go_wrong(item)

    def _go_wrong(self, item: Item) -> None:
        match item:
            case KillItem():
                self._doom(item)
            case CutItem(away_s=away_s, nth=nth):
                self._cut(away_s, nth)
            case FlutterItem(away_s=away_s):
                self._flutter(away_s)
            case DatabaseItem(away_s=away_s):
                self._lock_database(away_s)
            case HttpItem(away_s=away_s, lost=lost):
                self._stall_http(away_s, lost)
            case CrashItem(away_s=away_s):
                self._crash_asterisk(away_s)
            case PhoneItem(endpoint=endpoint, away_s=away_s, drops=drops):
                self._lose_phone(endpoint, away_s, drops=drops)

    def _doom(self, item: KillItem) -> None:
        if self.process is not None:
            self._restart_after_s = item.away_s
            self.process.doom(item.point, item.nth)

    def _cut(self, away_s: float, nth: int) -> None:
        if nth and self.process is not None:
            self.process.lose_events(nth, lambda: self._cut(away_s, 0))
            return
        self._tell("fault", "the websocket is cut")
        self.invariants.trouble(away_s)
        self._cut_until = max(self._cut_until, after(self.world.at, away_s))
        self._disconnect()
        self._connect()

    def _disconnect(self) -> None:
        if self.process is not None:
            self.process.disconnect()

    def _flutter(self, away_s: float) -> None:
        self.invariants.blur(away_s)
        self._weather.events_flutter = True

        def over() -> None:
            self._weather.events_flutter = False

        self.world.soon(away_s, over)

    def _lock_database(self, away_s: float) -> None:
        self.invariants.trouble(away_s)
        self.store.is_away = True
        self.world.soon(away_s, self._unlock_database)

    def _unlock_database(self) -> None:
        self.store.is_away = False

    def _stall_http(self, away_s: float, lost: float) -> None:
        self.invariants.trouble(away_s)
        self._weather.http_lost = lost

        def over() -> None:
            self._weather.http_lost = None

        self.world.soon(away_s, over)

    def _crash_asterisk(self, away_s: float) -> None:
        self.invariants.trouble(away_s)
        self.people.forget()
        self._asterisk_is_up = False
        self._disconnect()
        self.world.soon(away_s, self._asterisk_returns)

    def _asterisk_returns(self) -> None:
        self._asterisk_is_up = True
        self._connect()

    def _lose_phone(self, endpoint: str, away_s: float, *, drops: bool) -> None:
        self.people.unregister(endpoint, away_s)
        channels = self.people.asterisk.channels
        for leg in [c.id for c in channels.values() if c.endpoint == endpoint and drops]:
            assert parse_leg(leg) is not None
            self.invariants.owner_ends(leg)
            self.people.asterisk.hangs_up(leg)

    def _change_settings(self, item: SettingsItem) -> None:
        """The admin's command waits for a database that somebody else has locked."""
        self._tell("admin", str(item))
        if self.store.is_away:
            self.world.soon(CHECK_EVERY_S, lambda: self._change_settings(item))
            return
        self.store.change(make_plan(item.number, item.agents, item.ring_s))
        if self.process is not None:
            self.process.settings_changed()


def tell(
    seed: int, script: tuple[Item, ...], *, sqlite: bool = False, traced: bool = False
) -> Told:
    """The story of a script, in memory or on a real SQLite file."""
    if not sqlite:
        return Story(seed, script, MemoryStore(office()), traced=traced).tell()
    with tempfile.TemporaryDirectory(prefix="sharedline-sim-") as folder:
        store = DiskStore(office(), Path(folder))
        try:
            return Story(seed, script, store, traced=traced).tell()
        finally:
            store.close()
