"""The controller stops, is killed, comes back: no caller is lost, no talk notices."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.service import Controller
from tests.e2e.team import Team
from tests.lab.asterisk import AsteriskInstance
from tests.lab.phones import answers, rings_forever
from tests.lab.tones import ANN_HZ, CALLER_HZ

pytestmark = pytest.mark.e2e


@pytest.fixture
async def controller(asterisk: AsteriskInstance, tmp_path: Path) -> AsyncIterator[Controller]:
    """One for each test, since each ends it its own way."""
    async with Controller(asterisk, tmp_path) as controller:
        yield await controller.start()


async def test_sigterm_ends_it_with_0(team: Team) -> None:
    await team.number(["ann"])
    assert await team.controller.stop() == 0
    assert await team.bridges() == []


async def test_a_stopped_controller_leaves_calls_to_the_dialplan(team: Team) -> None:
    """A new caller still reaches the members, by the fallback that the controller left."""
    number = await team.number(["ann", "bob"])
    ann, bob = await team.phone("ann", rings_forever), await team.phone("bob", rings_forever)
    assert await team.controller.stop() == 0
    caller = await team.caller(number, name="Kim")
    ring, other = await ann.rings(), await bob.rings()
    assert (ring.caller_number, ring.caller_name) == ("+4917012345", "Kim")
    await caller.rings()
    ring.answer(ANN_HZ)
    assert "cause=26" in (await other.cancelled()).reason
    await caller.answered()
    await caller.hears(ANN_HZ)
    await caller.hang_up()
    await ring.hung_up()
    await team.nothing_left()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_talk_does_not_notice(team: Team, how: signal.Signals) -> None:
    """It goes on with audio; the next controller knows it, and its end frees the agent."""
    number = await team.number(["ann"])
    ann = await team.phone("ann", answers(hz=ANN_HZ))
    caller = await team.caller(number)
    ring = await ann.rings()
    await team.talks(number, "ann")
    await (team.controller.stop() if how is signal.SIGTERM else team.controller.kill9())
    caller.play(CALLER_HZ)
    caller.rtp.forget()
    await caller.hears(ANN_HZ)
    await ring.hears(CALLER_HZ)
    await team.controller.start()
    await team.talks(number, "ann")
    await caller.hears(ANN_HZ)
    await caller.hang_up()
    await ring.hung_up()
    history = await team.ended(number)
    assert (history.outcome, history.answered_by) == ("answered", "ann")
    await team.nothing_left()
    again = await team.caller(number)  # and the agent is free
    await team.talks(number, "ann")
    await again.hang_up()
    await team.nothing_left()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("who", ["caller", "agent"])
async def test_a_talk_ends_while_the_controller_is_away(
    team: Team, how: signal.Signals, who: str
) -> None:
    number = await team.number(["ann"])
    ann = await team.phone("ann", answers())
    caller = await team.caller(number)
    ring = await ann.rings()
    await team.talks(number, "ann")
    await (team.controller.stop() if how is signal.SIGTERM else team.controller.kill9())
    await (caller if who == "caller" else ring).hang_up()
    await team.controller.start()
    await (ring if who == "caller" else caller).hung_up()
    assert (await team.ended(number)).outcome == "answered"
    await team.nothing_left()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_away_while_it_rings_and_back_in_time(team: Team, how: signal.Signals) -> None:
    """Phones ring on meanwhile; an agent answers the restarted controller's call."""
    number = await team.number(["ann", "bob"])
    ann, bob = await team.phone("ann", rings_forever), await team.phone("bob", rings_forever)
    caller = await team.caller(number)
    ring, other = await ann.rings(), await bob.rings()
    await caller.rings()
    await (team.controller.stop() if how is signal.SIGTERM else team.controller.kill9())
    await team.controller.start()
    assert ring.is_ringing
    assert caller.final_status == 0
    ring.answer(ANN_HZ)
    assert "cause=26" in (await other.cancelled()).reason
    await caller.answered()
    await caller.hears(ANN_HZ)
    await team.talks(number, "ann")
    await caller.hang_up()
    await team.nothing_left()


async def test_answered_while_nobody_listens(team: Team) -> None:
    """The phone is hung up, since no controller is there; the next one rings it again."""
    number = await team.number(["ann"])
    ann = await team.phone("ann", rings_forever)
    caller = await team.caller(number)
    ring = await ann.rings()
    await team.settled()  # or the next one would ring the same leg, not a second one
    await team.controller.kill9()
    ring.answer()
    await ring.hung_up()
    assert caller.final_status == 0
    await team.controller.start()
    again = await ann.rings()
    again.answer(ANN_HZ)
    await caller.answered()
    await caller.hears(ANN_HZ)
    await caller.hang_up()
    assert (await team.ended(number)).attempts == (("ann", "lost"), ("ann", "answered"))
    await team.nothing_left()


async def test_the_caller_gives_up_while_nobody_listens(team: Team) -> None:
    number = await team.number(["ann"])
    ann = await team.phone("ann", rings_forever)
    caller = await team.caller(number)
    ring = await ann.rings()
    await team.controller.kill9()
    assert await caller.cancel() == 487
    await team.controller.start()
    await ring.cancelled()
    assert (await team.ended(number)).outcome == "abandoned"
    await team.nothing_left()


async def test_a_controller_that_never_comes_back_strands_nobody(team: Team) -> None:
    """Who was in its hands goes to the fallback; who talks by then is not cut off."""
    number = await team.number(["ann"])
    ann = await team.phone("ann", rings_forever)
    asterisk = team.controller.asterisk
    asterisk.set_global(f"FALLBACK_AFTER_{number[1:]}", "3")  # else 60 s longer than any wait
    talker = await team.caller(number)
    (await ann.rings()).answer(ANN_HZ)
    await team.talks(number, "ann")
    other = await team.number(["bob"])
    asterisk.set_global(f"FALLBACK_AFTER_{other[1:]}", "3")
    bob = await team.phone("bob", rings_forever)
    waiting = await team.caller(other)
    left_ringing = await bob.rings()
    await team.controller.kill9()
    left_ringing.reject(486)  # the phone of a call that nobody knows of any more
    ring = await bob.rings(within_s=6)  # the dialplan's own, after its patience
    ring.answer()
    await waiting.answered()
    talker.rtp.forget()
    await talker.hears(ANN_HZ)
    await waiting.hang_up()
    await talker.hang_up()
