"""`python -m tests.lab.chaos`: everything goes wrong while people talk, and the figures are told.

Contract: real Asterisk, real RTP. 30 pairs talk and 10 callers hear ringing while the controller is
killed again and again, its connection cut or stalled, its database locked or its disk full; callers
keep coming. Exit code 0 if no talk was dropped, nobody lost and no agent stuck. Needs root.
"""

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from tests.e2e.service import Controller, comes_true
from tests.e2e.team import Team
from tests.lab.asterisk import AsteriskInstance
from tests.lab.crowd import Crowd, Figures
from tests.lab.phones import Lab, default_phones
from tests.lab.proxy import Proxy
from tests.lab.root import ensure_root
from tests.lab.waiting import Missed

DISK_BYTES = 64 << 20
LOCK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Size:
    """How much of it."""

    pairs: int = 30
    ringing: int = 10
    comers: int = 12
    rounds: int = 10
    trouble_s: float = 10
    every_s: float = 0.5
    seed: int = 1


@dataclass
class Result:
    """What the run found."""

    figures: Figures
    restarts_ms: list[float] = field(default_factory=list)  # from exec to the first decision
    loads_ms: list[float] = field(default_factory=list)  # from exec to deciding
    skipped: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    history: dict[str, int] = field(default_factory=dict)  # of those who came

    @property
    def fine(self) -> bool:
        return not (self.figures.dropped or self.figures.lost or self.wrong)


class Chaos:
    """One run."""

    def __init__(self, size: Size, crowd: Crowd, proxy: Proxy) -> None:
        self.size, self.crowd, self.proxy = size, crowd, proxy
        self.controller = crowd.team.controller
        self.result = Result(crowd.figures)
        self.database = Path(self.controller.engine.url.database or "")
        self._dice = random.Random(size.seed)

    async def run(self, *, disk: bool) -> None:
        await self.crowd.gather()
        say(f"{len(self.crowd.pairs)} pairs talk, {len(self.crowd.waiting)} callers hear ringing")
        sides = [
            asyncio.create_task(self.crowd.listen()),
            asyncio.create_task(self.crowd.arrive(self.size.every_s)),
        ]
        try:
            await self._all_phases(disk=disk)
        finally:
            for side in sides[1:]:
                side.cancel()
            await self.crowd.guests_leave()
            sides[0].cancel()
        await self._end()

    async def _all_phases(self, *, disk: bool) -> None:
        await self._phase("killed again and again", self._kills)
        await self._phase("websocket cut", self._cuts)
        await self._phase("Asterisk's HTTP stalled", self._stall)
        await self._phase("database locked", self._lock)
        if disk:
            await self._phase("disk full", self._fill)
        else:
            self.result.skipped.append("disk full: no tmpfs can be mounted here")

    async def _phase(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        before = self.crowd.still_ringing()
        try:
            await work()
            await self._alive(name)
        except Missed as missed:
            self.result.wrong.append(f"{name}: {missed}")
        self.crowd.check()
        gone = before - self.crowd.still_ringing()
        if gone:
            self.result.wrong.append(f"{name}: {gone} ringing callers are no longer ringing")
        figures = self.crowd.figures
        say(
            f"{name}: dropped {figures.dropped}, lost {figures.lost}, came {dict(figures.came)},"
            f" longest silence {figures.silence_s * 1000:.0f} ms"
        )

    async def _alive(self, name: str) -> None:
        """Started again if it ended by itself, as a service manager would; that is told."""
        if self.controller.pid is None:
            last = self.controller.output().strip().splitlines()[-1:]
            self.result.wrong.append(f"{name}: the controller ended by itself: {last}")
            await self.controller.start()

    # -- the phases

    async def _kills(self) -> None:
        for _ in range(self.size.rounds):
            await self._pause(0.1, 2.0)
            await self.controller.kill9()
            await self._pause(0.0, 0.7)
            at = datetime.now().astimezone()
            await self.controller.start()
            self.result.loads_ms.append(self._since(at, "deciding"))
            await comes_true(self._decision, 10, "a decision after the restart")
            self.result.restarts_ms.append(self._since(at, "step"))

    async def _cuts(self) -> None:
        for _ in range(max(1, self.size.rounds // 3)):
            back = self._said("asterisk is back")
            self.proxy.cut(events_only=True)
            await comes_true(partial(self._said_more, back), 10, "it is back")
            await self._pause(0.1, 1.0)

    async def _stall(self) -> None:
        self.proxy.stall()
        await asyncio.sleep(self.size.trouble_s)
        self.proxy.flow()
        await self._a_guest_talks()

    async def _lock(self) -> None:
        with locked(self.database):
            await asyncio.sleep(self.size.trouble_s)
        await self._a_guest_talks()

    async def _fill(self) -> None:
        filler = self.database.with_name("filler")
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        try:
            await asyncio.sleep(self.size.trouble_s)
        finally:
            filler.unlink()
        await self._alive("disk full")
        await self._a_guest_talks()

    # -- inside

    async def _a_guest_talks(self) -> None:
        """It works again: one who comes now is served by an agent."""
        talked = self.crowd.figures.came["talked"]
        await comes_true(lambda: self.crowd.figures.came["talked"] > talked, 30, "somebody talks")

    async def _end(self) -> None:
        """All that should be there is there, and then nothing is left."""
        try:
            await self.crowd.answer_the_waiting()
            self.crowd.check()
            await self.crowd.go_home()
            await self.crowd.team.nothing_left()
            came = (self.crowd.team.outcomes(self.crowd.numbers[kind]) for kind in ("come", "all"))
            self.result.history = dict(sum(came, Counter()))
            talks = self.crowd.team.outcomes(self.crowd.numbers["talk"])
            if talks != {"answered": self.size.pairs}:
                self.result.wrong.append(f"the history of the talks says {dict(talks)}")
        except Missed as missed:
            self.result.wrong.append(f"at the end: {missed}")

    async def _pause(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self._dice.uniform(least_s, most_s))

    def _lines(self, event: str) -> list[dict[str, str]]:
        lines = (line for line in self.controller.output().splitlines() if line[:1] == "{")
        whole = (json.loads(line) for line in lines if line[-1:] == "}")
        return [line for line in whole if line.get("event") == event]

    def _said(self, event: str) -> int:
        return len(self._lines(event))

    def _said_more(self, before: int) -> bool:
        return self._said("asterisk is back") > before

    def _decision(self) -> dict[str, str] | None:
        return next((line for line in self._lines("step") if line.get("commands")), None)

    def _since(self, at: datetime, event: str) -> float:
        line = self._decision() if event == "step" else next(iter(self._lines(event)), None)
        assert line is not None
        return (datetime.fromisoformat(line["timestamp"]) - at).total_seconds() * 1000


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process holds the write lock."""
    holder = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"locked\n"
        yield
    finally:
        holder.communicate()


@contextlib.contextmanager
def small_disk() -> Iterator[tuple[Path, bool]]:
    """A folder, on a small disk of its own if we may mount one."""
    with tempfile.TemporaryDirectory(prefix="sharedline-chaos-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder]
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
        try:
            yield Path(folder), mounted
        finally:
            if mounted:
                subprocess.run(["umount", "-l", folder], check=False)


@contextlib.asynccontextmanager
async def scene(size: Size) -> AsyncIterator[tuple[Chaos, bool]]:
    """Asterisk, the proxy, the controller, and everybody's phones."""
    phones = default_phones(size.pairs + size.ringing + size.comers)
    with small_disk() as (folder, disk), AsteriskInstance(ensure_root(), phones=phones) as asterisk:
        spool = asterisk.folder / "spool/sharedline"
        logs = asterisk.folder / "controller"
        for made in (spool, logs):
            made.mkdir()
        async with Proxy(asterisk.http_port) as proxy:
            settings = {"ari_url": proxy.url, "spool_dir": str(spool), "health_bind": ""}
            async with Controller(asterisk, folder, **settings) as controller, Lab(asterisk) as lab:
                controller.folder = logs  # a full disk is about the database, not about the log
                await controller.start()
                crowd = Crowd(Team(controller, lab), size.pairs, size.ringing, size.comers)
                yield Chaos(size, crowd, proxy), disk


async def chaos(size: Size) -> Result:
    """The whole run, but for the death of Asterisk itself."""
    async with scene(size) as (run, disk):
        await run.run(disk=disk)
    return run.result


async def asterisk_dies(size: Size) -> list[str]:
    """kill -9 of Asterisk under talks and ringing callers; what is wrong afterwards."""
    async with scene(size) as (run, _):
        crowd, team, asterisk = run.crowd, run.crowd.team, run.controller.asterisk
        await crowd.gather()
        await asyncio.to_thread(asterisk.kill9)
        await asyncio.to_thread(asterisk.start)
        await run.controller.says("asterisk is back", 20)
        wanted = {"talk": {"answered": size.pairs}, "ring": {"abandoned": size.ringing}}
        wrong = []
        for kind, outcomes in wanted.items():
            number = crowd.numbers[kind]
            try:
                await comes_true(partial(_are, team, number, outcomes), 10, f"{kind}: {outcomes}")
            except Missed as missed:
                wrong.append(f"{missed}, but {dict(team.outcomes(number))}")
        try:
            await team.nothing_left()
        except Missed as missed:
            wrong.append(str(missed))
        return wrong


def _are(team: Team, number: str, outcomes: dict[str, int]) -> bool:
    return team.outcomes(number) == outcomes


def say(text: str) -> None:
    print(f"{datetime.now().astimezone():%H:%M:%S} {text}", flush=True)


def report(result: Result) -> str:
    """The figures, one a line."""
    figures = result.figures
    lines = [
        f"talking calls dropped: {figures.dropped}",
        f"callers lost: {figures.lost}",
        f"callers who came: {dict(figures.came)}; longest wait {figures.worst_wait_s:.1f} s",
        f"what the history says of them: {result.history}",
        f"packets heard by the worst ear: {figures.heard:.1%}",
        f"longest silence: {figures.silence_s * 1000:.0f} ms",
        f"lateness of our own measuring, part of that: {figures.lag_s * 1000:.0f} ms at most",
        f"restart to deciding, ms: {_spread(result.loads_ms)}",
        f"restart to the first command, ms: {_spread(result.restarts_ms)}",
        *(f"skipped: {what}" for what in result.skipped),
        *(f"WRONG: {what}" for what in result.wrong),
    ]
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    if not values:
        return "none"
    ordered = sorted(values)
    return f"min {ordered[0]:.0f}, median {ordered[len(ordered) // 2]:.0f}, max {ordered[-1]:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.chaos")
    parser.add_argument("--rounds", type=int, default=10, help="how often the controller is killed")
    parser.add_argument("--pairs", type=int, default=30, help="how many pairs talk")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    size = Size(rounds=options.rounds, pairs=options.pairs, seed=options.seed)
    result = asyncio.run(chaos(size))
    print(report(result))
    wrong = asyncio.run(asterisk_dies(size))
    print("Asterisk killed:", "; ".join(wrong) or "agents free, history honest")
    return 0 if result.fine and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
