"""Nothing is lost in a gap, whatever made the gap: docs/recovery.md, row by row.

Each story is told three times: the controller is killed and started again; its websocket is cut,
while requests still pass; everything between it and Asterisk is cut.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.service import Controller, comes_true
from tests.e2e.team import Team
from tests.lab.asterisk import AsteriskInstance
from tests.lab.outgoing import Outgoing
from tests.lab.phones import Lab, ShapedPhone, answers, default_phones, rings_forever
from tests.lab.proxy import Proxy
from tests.lab.ring import Ring
from tests.lab.root import Root
from tests.lab.tones import ANN_HZ, CALLER_HZ

pytestmark = pytest.mark.e2e
KINDS = ("killed", "events cut", "all cut")
SLOW_S = 8  # a reconnect waits 5 s at most between two tries


class Gap:
    """A time in which the controller hears nothing."""

    def __init__(self, kind: str, controller: Controller, proxy: Proxy) -> None:
        self.kind, self._controller, self._proxy = kind, controller, proxy

    async def begin(self) -> None:
        if self.kind == "killed":
            await self._controller.kill9()
            return
        lost = self._said("asterisk lost, trying on")
        self._proxy.shut(events_only=self.kind == "events cut")
        await comes_true(lambda: self._said("asterisk lost, trying on") > lost, 3, "it is noticed")

    async def end(self) -> None:
        if self.kind == "killed":
            await self._controller.start()
            return
        back = self._said("asterisk is back")
        self._proxy.open()
        await comes_true(lambda: self._said("asterisk is back") > back, SLOW_S, "it is back")

    def _said(self, event: str) -> int:
        return self._controller.output().count(f'"{event}"')


@pytest.fixture
async def proxy(asterisk: AsteriskInstance) -> AsyncIterator[Proxy]:
    async with Proxy(asterisk.http_port) as proxy:
        yield proxy


@pytest.fixture
async def controller(
    asterisk: AsteriskInstance, proxy: Proxy, tmp_path: Path
) -> AsyncIterator[Controller]:
    async with Controller(asterisk, tmp_path, ari_url=proxy.url, health_bind="") as controller:
        yield await controller.start()
        proxy.open()
        proxy.flow()


@pytest.fixture(params=KINDS)
def gap(request: pytest.FixtureRequest, controller: Controller, proxy: Proxy) -> Gap:
    return Gap(request.param, controller, proxy)


async def ringing(team: Team, agents: list[str]) -> tuple[str, Outgoing, dict[str, Ring]]:
    """A caller hears ringing, and each agent's phone rings; every command is answered."""
    number = await team.number(agents)
    phones = {agent: await team.phone(agent, rings_forever) for agent in agents}
    caller = await team.caller(number)
    rings = {agent: await phone.rings() for agent, phone in phones.items()}
    await caller.rings()
    await team.settled()
    return number, caller, rings


async def talking(team: Team) -> tuple[str, Outgoing, Ring]:
    number = await team.number(["ann"])
    ann = await team.phone("ann", answers(hz=ANN_HZ))
    caller = await team.caller(number)
    caller.play(CALLER_HZ)
    ring = await ann.rings()
    await team.talks(number, "ann")
    return number, caller, ring


async def the_agent_is_free(team: Team, number: str) -> None:
    """The next caller gets her."""
    again = await team.caller(number)
    await team.talks(number, "ann", 8)
    await again.hang_up()
    await team.nothing_left()


async def test_phones_ring_on_and_the_answer_counts(team: Team, gap: Gap) -> None:
    number, caller, rings = await ringing(team, ["ann", "bob"])
    await gap.begin()
    await gap.end()
    assert all(ring.is_ringing for ring in rings.values())
    assert caller.final_status == 0
    rings["ann"].answer(ANN_HZ)
    assert "cause=26" in (await rings["bob"].cancelled()).reason
    await caller.answered()
    await caller.hears(ANN_HZ)
    await team.talks(number, "ann")
    await caller.hang_up()
    await team.nothing_left()


async def test_an_answer_in_the_gap_is_hung_up_and_offered_again(team: Team, gap: Gap) -> None:
    number, caller, rings = await ringing(team, ["ann"])
    await gap.begin()
    rings["ann"].answer()
    await rings["ann"].hung_up()
    assert caller.final_status == 0
    phone = next(each for each in team.lab._shaped if each.name == rings["ann"].agent.user)
    await gap.end()
    again = await phone.rings()
    again.answer(ANN_HZ)
    await caller.answered()
    await caller.hears(ANN_HZ)
    await caller.hang_up()
    assert (await team.ended(number)).of("ann") == ["lost", "answered"]
    await team.nothing_left()


async def test_a_refusal_in_the_gap_is_nobodys_fault(team: Team, gap: Gap) -> None:
    """Nobody knows why the leg ended, so the agent is rung once more, and may refuse again."""
    number, caller, rings = await ringing(team, ["ann"])
    await gap.begin()
    rings["ann"].reject(486)
    phone = next(each for each in team.lab._shaped if each.name == rings["ann"].agent.user)
    await gap.end()
    (await phone.rings()).reject(486)
    await team.attempted(number, "ann", "declined")
    await caller.answered()  # by the number's own fallback: all declined
    await caller.hang_up()
    await team.nothing_left()


async def test_the_caller_gives_up_in_the_gap(team: Team, gap: Gap) -> None:
    number, caller, rings = await ringing(team, ["ann", "bob"])
    await gap.begin()
    assert await caller.cancel() == 487
    assert all(ring.is_ringing for ring in rings.values())
    await gap.end()
    for ring in rings.values():
        await ring.cancelled()
    history = await team.ended(number)
    assert history.outcome == "abandoned"
    assert history.of("ann") == history.of("bob") == ["caller left"]
    await team.nothing_left()


@pytest.mark.parametrize("who", ["caller", "agent"])
async def test_one_of_two_talkers_hangs_up_in_the_gap(team: Team, gap: Gap, who: str) -> None:
    """The other one is not left alone in the bridge."""
    number, caller, ring = await talking(team)
    await gap.begin()
    await caller.hears(ANN_HZ)
    await ring.hears(CALLER_HZ)
    await (caller if who == "caller" else ring).hang_up()
    await gap.end()
    await (ring if who == "caller" else caller).hung_up()
    assert (await team.ended(number)).outcome == "answered"
    await team.nothing_left()
    await the_agent_is_free(team, number)


async def test_both_hang_up_in_the_gap(team: Team, gap: Gap) -> None:
    number, caller, ring = await talking(team)
    await gap.begin()
    await asyncio.gather(caller.hang_up(), ring.hang_up())
    await gap.end()
    assert (await team.ended(number)).outcome == "answered"
    await team.nothing_left()
    await the_agent_is_free(team, number)


async def test_a_new_caller_in_the_gap_rings_by_the_fallback(team: Team, gap: Gap) -> None:
    """And the controller that comes back doesn't touch that call, nor the agent's phone."""
    number = await team.number(["ann"])
    ann = await team.phone("ann", rings_forever)
    await gap.begin()
    caller = await team.caller(number)
    ring = await ann.rings()
    await gap.end()
    ring.answer(ANN_HZ)
    await caller.answered()
    await caller.hears(ANN_HZ)
    await caller.hang_up()
    await ring.hung_up()
    await team.nothing_left()


async def test_the_time_to_ring_runs_out_in_the_gap(team: Team, gap: Gap) -> None:
    """Asterisk's own timeout ends the leg; the caller waited through it, and is offered again."""
    number = await team.number(["ann"], ring_s=1, retry_s=1, max_wait_s=60)
    ann = await team.phone("ann", rings_forever)
    caller = await team.caller(number)
    ring = await ann.rings()
    await team.settled()
    await gap.begin()
    if gap.kind != "events cut":  # where requests pass, the controller itself ends the leg
        await ring.cancelled(8)
    await gap.end()
    again = await ann.rings(8)
    while not again.is_ringing:
        again = await ann.rings(8)
    again.answer(ANN_HZ)
    await caller.answered()
    await caller.hang_up()
    await team.nothing_left()


async def test_half_built(team: Team, gap: Gap) -> None:
    """The gap begins at a random moment around the agent's answer: never a caller without anybody.

    20 calls; each must come to be a talk, if need be with the second try to reach the agent.
    """
    rounds = 20 if gap.kind == "killed" else 8
    number = await team.number(["ann"])
    ann = await team.phone("ann")
    dice = random.Random(gap.kind)
    for _ in range(rounds):
        await half_built(team, gap, number, ann, dice.uniform(0, 0.025))
    assert team.outcomes(number) == {"answered": rounds}


async def half_built(team: Team, gap: Gap, number: str, ann: ShapedPhone, offset_s: float) -> None:
    ann.behaves(rings_forever)
    caller = await team.caller(number)
    ring = await ann.rings()
    await caller.rings()
    await team.settled()
    ann.behaves(answers(hz=ANN_HZ))
    ring.answer(ANN_HZ)
    await asyncio.sleep(offset_s)  # not a wait for anything: where the axe falls
    await gap.begin()
    await gap.end()
    await caller.answered(8)
    await caller.hears(ANN_HZ, 8)
    await team.talks(number, "ann", 8)
    await caller.hang_up()
    await team.ended(number)
    await team.nothing_left()
    while not ann.agent.rings.empty():
        ann.agent.rings.get_nowait()


async def test_asterisk_restarts_under_calls_of_every_kind(root: Root, tmp_path: Path) -> None:
    """One talks, one rings, one waits: all are over, the history says how, the agents are free."""
    with AsteriskInstance(root, phones=default_phones(3)) as asterisk:
        settings = {"health_bind": ""}
        async with Controller(asterisk, tmp_path, **settings) as controller, Lab(asterisk) as lab:
            await controller.start()
            team = Team(controller, lab)
            talk = await team.number(["ann"])
            ring = await team.number(["bob"])
            ann = await team.phone("ann", answers())
            bob = await team.phone("bob", rings_forever)
            for number in (talk, ring, ring):
                await team.caller(number)
            await team.talks(talk, "ann")
            await bob.rings()
            await team.settled()
            await asyncio.to_thread(asterisk.kill9)
            await asyncio.to_thread(asterisk.start)
            await controller.says("asterisk is back", 15)
            await comes_true(lambda: None not in team.outcomes(ring), 5, "they are over")
            assert team.outcomes(talk) == {"answered": 1}
            assert team.outcomes(ring) == {"abandoned": 2}
            await team.nothing_left()
            await ann.registers()
            await the_agent_is_free(team, talk)
