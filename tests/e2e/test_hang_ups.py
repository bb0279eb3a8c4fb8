"""Somebody hangs up: while it rings, in the instant of the answer, in the talk."""

import asyncio

import pytest

from tests.e2e.team import Team
from tests.lab.phones import answers, rings_forever
from tests.lab.ring import Ring
from tests.lab.tones import ANN_HZ
from tests.lab.waiting import until

pytestmark = pytest.mark.e2e


async def test_the_caller_gives_up_while_it_rings(team: Team) -> None:
    """All phones stop, and show a missed call."""
    number = await team.number(["ann", "bob"])
    phones = [await team.phone(name, rings_forever) for name in ("ann", "bob")]
    caller = await team.caller(number)
    rings = [await phone.rings() for phone in phones]
    await caller.rings()
    assert await caller.cancel() == 487
    for ring in rings:
        assert "cause=26" not in (await ring.cancelled()).reason
    history = await team.ended(number)
    assert history.outcome == "abandoned"
    assert sorted(history.attempts) == [("ann", "caller left"), ("bob", "caller left")]
    await team.nothing_left()


async def test_the_caller_gives_up_at_once(team: Team) -> None:
    """With the first response, before or while the phones are dialled."""
    number = await team.number(["ann", "bob"])
    for name in ("ann", "bob"):
        await team.phone(name, rings_forever)
    for _ in range(10):
        caller = await team.caller(number)
        assert await caller.cancel() == 487
        await team.nothing_left()


@pytest.mark.parametrize("answer_first", [True, False])
async def test_the_caller_gives_up_in_the_instant_of_the_answer(
    team: Team, *, answer_first: bool
) -> None:
    """CANCEL and 200 cross in every order: the phone is hung up, nothing stays."""
    number = await team.number(["ann"])
    ann = await team.phone("ann")
    for turn in range(15):
        caller = await team.caller(number)
        ring = await ann.rings()
        ring.ringing()
        await caller.rings()
        if answer_first:
            ring.answer()
            await asyncio.sleep(turn * 0.001)  # a few milliseconds more each time
            status = await caller.cancel()
        else:
            status, _ = await asyncio.gather(caller.cancel(), answer_after(ring, turn * 0.0005))
        assert status in {200, 487}
        if status == 200:  # the answer was first
            await caller.hang_up()
        await over(ring)
        await team.nothing_left()


async def answer_after(ring: Ring, pause_s: float) -> None:
    await asyncio.sleep(pause_s)
    if ring.is_ringing:
        ring.answer()


async def over(ring: Ring) -> None:
    """The phone was answered: a BYE; or not: a CANCEL."""
    await (ring.hung_up() if ring.final_status == 200 else ring.cancelled())


async def test_the_caller_hangs_up_in_the_talk(team: Team) -> None:
    number = await team.number(["ann"])
    ann = await team.phone("ann", answers(hz=ANN_HZ))
    caller = await team.caller(number)
    await caller.answered()
    await caller.hears(ANN_HZ)
    await caller.hang_up()
    await (await ann.rings()).hung_up()
    assert (await team.ended(number)).outcome == "answered"
    await team.nothing_left()


async def test_the_agent_hangs_up_in_the_talk(team: Team) -> None:
    number = await team.number(["ann"])
    ann = await team.phone("ann", answers(hz=ANN_HZ))
    caller = await team.caller(number)
    await caller.answered()
    await caller.hears(ANN_HZ)
    await (await ann.rings()).hang_up()
    await caller.hung_up()
    history = await team.ended(number)
    assert (history.outcome, history.answered_by) == ("answered", "ann")
    await team.nothing_left()


async def test_both_hang_up_in_the_same_instant(team: Team) -> None:
    number = await team.number(["ann"])
    ann = await team.phone("ann")
    for _ in range(10):
        caller = await team.caller(number)
        ring = await ann.rings()
        ring.answer()
        await team.talks(number, "ann")
        await asyncio.gather(caller.hang_up(), ring.hang_up())
        assert (await team.ended(number)).outcome == "answered"
        await team.nothing_left()


async def test_the_agent_hangs_up_in_the_instant_of_the_answer(team: Team) -> None:
    """The caller is not dropped: the next phone rings, or the same one in the next round."""
    number = await team.number(["ann", "bob"], strategy="in-order")
    ann, bob = await team.phone("ann"), await team.phone("bob", rings_forever)
    caller = await team.caller(number)
    ring = await ann.rings()
    ring.answer()
    await until(lambda: any(request.method == "ACK" for request in ring.requests), 3, "an ACK")
    await ring.hang_up()  # RFC 3261 section 15: not before the ACK
    if await still_there(team, number):
        (await bob.rings()).answer()
        await team.talks(number, "bob")
        await caller.hang_up()
    history = await team.ended(number)
    assert history.answered_by in {"ann", "bob"}
    await team.nothing_left()


async def still_there(team: Team, number: str) -> bool:
    """False if ann's answer was a (very short) conversation."""
    ended = asyncio.create_task(team.ended(number))
    dropped = asyncio.create_task(team.attempted(number, "ann", "dropped"))
    await asyncio.wait([ended, dropped], return_when=asyncio.FIRST_COMPLETED)
    was_dropped = dropped.done() and dropped.exception() is None
    for wait in (ended, dropped):
        wait.cancel()
    await asyncio.gather(ended, dropped, return_exceptions=True)
    return was_dropped
