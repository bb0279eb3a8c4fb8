"""The people of the chaos run: pairs that talk all the time, callers who wait, callers who come.

Contract: `Crowd(team)` sets up three numbers with agents of their own; `talk`, `ring` and `arrive`
bring callers to them. Everything that people would complain about is counted: `dropped`, `lost`,
`longest_silence_s`. Nobody hangs up before `go_home`, except those who come and go.
"""

import asyncio
import contextlib
import itertools
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from tests.e2e.service import comes_true
from tests.e2e.team import Team
from tests.lab.legs import Leg
from tests.lab.outgoing import Outgoing
from tests.lab.phones import ShapedPhone, rings_forever
from tests.lab.ring import Ring
from tests.lab.rtp import PTIME_S
from tests.lab.tones import ANN_HZ, QUIET, loudness
from tests.lab.waiting import Missed, until

SAMPLE_S = 0.05
SERVED_S = 60  # from dialling until somebody must have answered a caller who comes
VOICE_S = 10  # from the answer to a voice: a restart may come between the two
ANSWER_S = 0.2
CLEAR_S = 3  # from a voice to knowing whose
TALK_S = 1.0


@dataclass
class Ear:
    """One end of a talk: what it hears, packet by packet."""

    leg: Leg
    since: float
    packets: int = 0
    changed_at: float = 0.0
    silence_s: float = 0.0

    def listen(self, now: float) -> None:
        if self.leg.rtp.packets != self.packets:
            self.packets, self.changed_at = self.leg.rtp.packets, now
        self.silence_s = max(self.silence_s, now - (self.changed_at or now))

    def heard(self, now: float) -> float:
        """The share of the packets that should have come."""
        return self.packets * PTIME_S / max(now - self.since, PTIME_S)


@dataclass
class Figures:
    """What was counted."""

    dropped: int = 0  # talks of a pair that ended, though nobody hung up
    lost: int = 0  # callers who rang and were refused, hung up, or never served
    came: Counter[str] = field(default_factory=Counter)  # what became of those who come and go
    silence_s: float = 0.0
    lag_s: float = 0.0  # how late our own measuring was: a silence may be that much too long
    heard: float = 1.0
    worst_wait_s: float = 0.0


class Crowd:
    """Everybody on the phone."""

    def __init__(self, team: Team, pairs: int, ringing: int, comers: int) -> None:
        names = [f"p{number:02}" for number in range(1, pairs + ringing + comers + 1)]
        self.team, self.figures = team, Figures()
        self.talkers = names[:pairs]
        self.silent = names[pairs : pairs + ringing]
        self.quick = names[pairs + ringing :]
        self.numbers: dict[str, str] = {}
        self.pairs: list[tuple[Outgoing, Ring]] = []
        self.waiting: list[Outgoing] = []
        self._ears: list[Ear] = []
        self._phones: dict[str, ShapedPhone] = {}
        self._guests: set[asyncio.Task[None]] = set()

    async def gather(self) -> None:
        """Numbers, phones, the talking pairs and the callers who hear ringing."""
        groups = {"talk": self.talkers, "ring": self.silent, "come": self.quick, "all": self.quick}
        for kind, names in groups.items():
            strategy = "ring-all" if kind == "all" else "in-order"
            self.numbers[kind] = await self.team.number(
                names, strategy=strategy, ring_s=900, max_wait_s=1800
            )
        for name in self.talkers:  # silence: tones for all would cost the machine a core
            self._phones[name] = await self.team.phone(name, Quick(None).on_ring)
        for name in self.quick:
            self._phones[name] = await self.team.phone(name, Quick(ANN_HZ).on_ring)
        for name in self.silent:
            self._phones[name] = await self.team.phone(name, rings_forever)
        for _ in self.talkers:
            await self._pair()
        for _ in self.silent:
            caller = await self.team.caller(self.numbers["ring"])
            await caller.rings()
            self.waiting.append(caller)
        await self.team.settled()

    async def _pair(self) -> None:
        caller = await self.team.caller(self.numbers["talk"])
        await caller.answered()
        phones = [self._phones[name] for name in self.talkers]
        await comes_true(lambda: any(p.agent.rings.qsize() for p in phones), 3, "an agent")
        ring = next(p for p in phones if p.agent.rings.qsize()).agent.rings.get_nowait()
        self.pairs.append((caller, ring))
        for leg in (caller, ring):
            await until(partial(_hears, leg), 3, f"{leg} hears")
            leg.rtp.forget()
            self._ears.append(Ear(leg, asyncio.get_running_loop().time()))

    # -- all the time

    async def listen(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(SAMPLE_S)
            now = loop.time()
            self.figures.lag_s = max(self.figures.lag_s, now - before - SAMPLE_S)
            for ear in self._ears:
                ear.listen(now)

    async def arrive(self, every_s: float) -> None:
        """One caller after the other, until cancelled."""
        for kind in itertools.cycle(("come", "all")):
            task = asyncio.create_task(self._guest(self.numbers[kind]))
            self._guests.add(task)
            await asyncio.sleep(every_s)

    async def _guest(self, number: str) -> None:
        began = asyncio.get_running_loop().time()
        caller = await self.team.caller(number, "+4917055555")
        try:
            await caller.answered(SERVED_S)
            waited_s = asyncio.get_running_loop().time() - began
            self.figures.worst_wait_s = max(self.figures.worst_wait_s, waited_s)
            await comes_true(lambda: loudness(caller.rtp.heard()) > QUIET, VOICE_S, "a voice")
            with contextlib.suppress(Missed):
                await caller.hears(ANN_HZ, CLEAR_S)
            talks = caller.rtp.share(ANN_HZ) > 0.5
            await asyncio.sleep(TALK_S)
            cut = caller.ended is not None  # an announcement ends by itself
            what = ("cut off" if cut else "talked") if talks else "answered by something else"
        except Missed as missed:
            what = f"lost: {missed}"
        self.figures.lost += what.startswith(("lost", "cut"))
        self.figures.came[what] += 1
        await caller.hang_up()

    # -- now and then, and at the end

    def check(self) -> None:
        """Who should still be there?"""
        figures, now = self.figures, asyncio.get_running_loop().time()
        figures.dropped = sum(
            caller.ended is not None or ring.ended is not None for caller, ring in self.pairs
        )
        figures.silence_s = max((ear.silence_s for ear in self._ears), default=0.0)
        figures.heard = min((ear.heard(now) for ear in self._ears), default=1.0)

    def still_ringing(self) -> int:
        return sum(not c.final_status and c.ended is None for c in self.waiting)

    async def guests_leave(self) -> None:
        await asyncio.gather(*self._guests)

    async def answer_the_waiting(self) -> None:
        """At last each of them is answered, by whichever phone rings."""
        for name in self.silent:
            while self._phones[name].agent.rings.qsize():
                ring = self._phones[name].agent.rings.get_nowait()
                if ring.is_ringing:
                    ring.answer(ANN_HZ)
        for caller in self.waiting:
            try:
                await caller.answered(5)
                await caller.hears(ANN_HZ, 5)
            except Missed as missed:
                self.figures.lost += 1
                self.figures.came[f"waiting caller: {missed}"] += 1

    async def go_home(self) -> None:
        """Everybody hangs up."""
        self._ears.clear()
        callers = [caller for caller, _ in self.pairs] + self.waiting
        await asyncio.gather(*(caller.hang_up() for caller in callers))


def _hears(leg: Leg) -> bool:
    return leg.rtp.packets > 0


class Quick:
    """A phone that answers each call after a moment, one at a time."""

    def __init__(self, hz: float | None) -> None:
        self._hz = hz
        self._call: Ring | None = None

    def on_ring(self, ring: Ring) -> None:
        if self._call is not None and self._call.ended is None and self._is_in_use(self._call):
            ring.reject(486)
            return
        self._call = ring
        ring.ringing()
        ring.agent.spawn(self._answer(ring))

    @staticmethod
    def _is_in_use(ring: Ring) -> bool:
        return ring.talking or ring.is_ringing

    async def _answer(self, ring: Ring) -> None:
        await asyncio.sleep(ANSWER_S)
        if ring.is_ringing:
            ring.answer(self._hz)
