"""Ring all: every phone of the number rings at once, and the first to answer talks."""

import asyncio

import pytest

from tests.e2e.team import Team
from tests.lab.phones import Lab, answers, rings_forever
from tests.lab.tones import ANN_HZ, CALLER_HZ

pytestmark = pytest.mark.e2e


async def test_all_ring_and_the_first_to_answer_talks(team: Team) -> None:
    """The others are told "answered elsewhere", so that no missed call is left on them."""
    number = await team.number(["ann", "bob", "cat"])
    phones = [await team.phone(name, rings_forever) for name in ("ann", "bob", "cat")]
    caller = await team.caller(number)
    ann, bob, cat = [await phone.rings() for phone in phones]
    assert max(ring.at for ring in (ann, bob, cat)) - min(ann.at, bob.at, cat.at) < 0.2
    await caller.rings()
    bob.answer(ANN_HZ)
    await caller.answered()
    for loser in (ann, cat):
        cancelled = await loser.cancelled()
        assert "SIP;cause=200" in cancelled.reason
        assert "cause=26" in cancelled.reason
    caller.play(CALLER_HZ)
    await caller.hears(ANN_HZ)
    await bob.hears(CALLER_HZ)
    await caller.hang_up()
    await bob.hung_up()
    history = await team.ended(number)
    assert (history.outcome, history.answered_by) == ("answered", "bob")
    elsewhere = "answered elsewhere"
    assert sorted(history.attempts) == [("ann", elsewhere), ("bob", "answered"), ("cat", elsewhere)]
    await team.nothing_left()


async def test_a_real_telephone_rings_and_both_hear_each_other(team: Team) -> None:
    number = await team.number(["ann", "bob"])
    ann, bob = await team.telephone("ann"), await team.telephone("bob")
    caller = await team.caller(number)
    call, other = await ann.rings(), await bob.rings()
    await caller.rings()
    assert call.caller_number == "+4917012345"
    await call.answer(ANN_HZ)
    await other.cancelled()
    await caller.answered()
    caller.play(CALLER_HZ)
    await caller.hears(ANN_HZ)
    await call.hears(CALLER_HZ)
    caller.press("5")
    await call.receives_digits("5")
    await call.hang_up()
    await caller.hung_up()
    assert (await team.ended(number)).answered_by == "ann"
    await team.nothing_left()


@pytest.mark.parametrize(
    ("number", "name", "shown_number", "shown_name"),
    [
        ("+4917012345", "Kim Müller", "+4917012345", "Kim Müller"),
        ("017012345", "", "+4917012345", "+4917012345"),
        ("004917012345", "", "+4917012345", "+4917012345"),
        ("anonymous", "", "anonymous", "Anonymous"),
        ("+4917012345", "a" * 300, "+4917012345", "a" * 64),
        ("+4917012345", 'Eve\\" <sip:bob@evil>', "+4917012345", "Eve sip:bob@evil"),
        ("+4917012345", "x\u202eeno on\u0007", "+4917012345", "x eno on"),
        ("+4917012345", "${SHELL(id)},&PJSIP/p02", "+4917012345", "${SHELL(id)},&PJSIP/p02"),
        ("017012345&PJSIP%2Fp02", "", "anonymous", "Anonymous"),
        ("9" * 200, "", "anonymous", "Anonymous"),
    ],
)
async def test_the_phone_shows_who_calls(
    team: Team, number: str, name: str, shown_number: str, shown_name: str
) -> None:
    """Name and number in E.164; what a stranger writes there is cleaned and rings nobody else."""
    ours = await team.number(["ann"])
    ann, bob = await team.phone("ann", rings_forever), await team.phone("bob")
    caller = await team.caller(ours, number, name)
    ring = await ann.rings()
    assert (ring.caller_number, ring.caller_name) == (shown_number, shown_name)
    await caller.cancel()
    await ring.cancelled()
    assert bob.agent.rings.empty()
    await team.nothing_left()


async def test_two_answers_in_the_same_instant(team: Team) -> None:
    """One conversation, and one clean hang-up that says "answered elsewhere"."""
    number = await team.number(["ann", "bob"])
    phones = [await team.phone(name) for name in ("ann", "bob")]
    winners = set()
    for turn in range(20):
        caller = await team.caller(number)
        rings = [await phone.rings() for phone in phones]
        for ring in rings if turn % 2 else reversed(rings):
            ring.answer()
        await caller.answered()
        winner = (await talker(team, number)) == "bob"
        loser = rings[not winner]
        ended = await loser.hung_up()
        assert "cause=26" in ended.reason, ended
        assert len([r for r in loser.requests if r.method == "BYE"]) == 1
        assert len(await team.bridges()) == 1
        assert rings[winner].talking
        winners.add(winner)
        await caller.hang_up()
        await rings[winner].hung_up()
        await team.nothing_left()
    assert winners == {True, False}  # or this would not have been a race


async def talker(team: Team, number: str) -> str:
    """Who of ann and bob talks with the number's last caller."""
    waits = [asyncio.create_task(team.talks(number, name)) for name in ("ann", "bob")]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    won = "ann" if waits[0].done() and waits[0].exception() is None else "bob"
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    return won


async def test_behind_a_caller_others_wait_for_whoever_is_freed(team: Team) -> None:
    """Under ring-all one caller reserves everybody: no phone ever rings for two."""
    number = await team.number(["ann", "bob"])
    ann, bob = await team.phone("ann", rings_forever), await team.phone("bob", rings_forever)
    first = await team.caller(number, "+4917011111")
    ann_first, bob_first = await ann.rings(), await bob.rings()
    second = await team.caller(number, "+4917022222")
    await second.rings()  # hears ringing, though nobody's phone rings for it
    assert ann.agent.rings.empty()
    assert bob.agent.rings.empty()
    ann_first.answer()
    await bob_first.cancelled()
    bob_second = await bob.rings()
    assert bob_second.caller_number == "+4917022222"
    assert ann.agent.rings.empty()
    await first.answered()
    await first.hang_up()
    ann_second = await ann.rings()  # freed while it rings: joins in
    assert ann_second.caller_number == "+4917022222"
    ann_second.answer()
    await bob_second.cancelled()
    await second.answered()
    await second.hang_up()
    await ann_second.hung_up()
    await team.nothing_left()


async def test_an_agent_of_two_numbers_is_offered_one_call(team: Team) -> None:
    sales = await team.number(["ann"])
    support = await team.number(["ann", "bob"])
    ann, bob = await team.phone("ann", rings_forever), await team.phone("bob", rings_forever)
    buyer = await team.caller(sales, "+4917011111")
    assert (await ann.rings()).caller_number == "+4917011111"
    user = await team.caller(support, "+4917022222")
    await bob.rings()
    assert ann.agent.rings.empty()
    await buyer.cancel()
    assert (await ann.rings()).caller_number == "+4917022222"  # freed: joins in
    await user.cancel()
    await team.nothing_left()


async def test_a_phone_that_comes_back_joins_in(team: Team) -> None:
    """Not reachable when the call came; registered while it still rings elsewhere."""
    number = await team.number(["ann", "bob"])
    await team.phone("ann", rings_forever)
    caller = await team.caller(number)
    await team.attempted(number, "bob", "unreachable")
    bob = await team.phone("bob", answers())
    await bob.rings()
    await team.talks(number, "bob")
    await caller.hang_up()
    history = await team.ended(number)
    assert history.answered_by == "bob"
    assert history.of("bob") == ["unreachable", "answered"]
    await team.nothing_left()


async def test_an_agent_with_two_phones_is_one_person(team: Team, lab: Lab) -> None:
    """Desk phone and softphone ring; answering one cancels the other, elsewhere as well."""
    number = await team.number(["ann"], phones={"ann": ["p01", "p02"]})
    desk, soft = await lab.shaped_phone("p01"), await lab.shaped_phone("p02")
    caller = await team.caller(number)
    at_desk, at_soft = await desk.rings(), await soft.rings()
    at_desk.ringing()
    at_soft.ringing()
    second = await team.caller(number, "+4917022222")
    await second.rings()
    at_soft.answer()
    assert "cause=26" in (await at_desk.cancelled()).reason
    await caller.answered()
    await team.talks(number, "ann")
    assert desk.agent.rings.empty()  # a free phone of a person who talks
    await second.answered()  # in a call: the announcement at once
    await second.hang_up()
    await caller.hang_up()
    await at_soft.hung_up()
    await team.nothing_left()


async def test_an_agent_declines_on_one_phone(team: Team, lab: Lab) -> None:
    """Then the other phone stops as well, and the next member's answer counts."""
    number = await team.number(["ann", "bob"], phones={"ann": ["p01", "p02"], "bob": ["p03"]})
    desk, soft = await lab.shaped_phone("p01"), await lab.shaped_phone("p02", rings_forever)
    bob = await lab.shaped_phone("p03", rings_forever)
    caller = await team.caller(number)
    at_desk, at_soft, at_bob = await desk.rings(), await soft.rings(), await bob.rings()
    at_desk.ringing()
    at_desk.reject(486)
    await at_soft.cancelled()
    at_bob.answer()
    await team.talks(number, "bob")
    await caller.hang_up()
    history = await team.ended(number)
    assert (history.of("ann"), history.of("bob")) == (["declined"], ["answered"])
    await team.nothing_left()
