"""Phones that refuse, forward, fail or stay silent; and where the caller goes in the end."""

import asyncio

import pytest

from tests.e2e.team import Team
from tests.lab.phones import Behaviour, answers, redirects, refuses, rings_forever
from tests.lab.tones import ANN_HZ, CALLER_HZ

pytestmark = pytest.mark.e2e

OUTSIDE = "+4930777001"


# -- how one phone's refusal counts, while another phone rings on


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        pytest.param(refuses(486, rings=False), "busy", id="486"),
        pytest.param(refuses(603, rings=False), "busy", id="603"),
        pytest.param(refuses(486), "declined", id="180-486"),
        pytest.param(refuses(603), "declined", id="180-603"),
        pytest.param(refuses(480, rings=False), "unreachable", id="480"),
        pytest.param(refuses(408, rings=False), "unreachable", id="408"),
        pytest.param(refuses(480), "no answer", id="180-480"),
        pytest.param(refuses(404, rings=False), "unreachable", id="404"),
        pytest.param(refuses(500, rings=False), "unreachable", id="500"),
        pytest.param(refuses(488, rings=False), "unreachable", id="488"),
        pytest.param(redirects("p03"), "unreachable", id="302"),
    ],
)
async def test_one_refuses_and_another_answers(
    team: Team, behaviour: Behaviour, outcome: str
) -> None:
    number = await team.number(["ann", "bob"])
    await team.phone("ann", behaviour)
    bob = await team.phone("bob", rings_forever)
    caller = await team.caller(number)
    ring = await bob.rings()
    await team.attempted(number, "ann", outcome)
    ring.answer()
    await team.talks(number, "bob")
    await caller.hang_up()
    history = await team.ended(number)
    assert history.attempts == (("ann", outcome), ("bob", "answered"))
    await team.nothing_left()


async def test_an_unregistered_phone_costs_nothing(team: Team) -> None:
    number = await team.number(["ann", "bob"])
    await team.phone("bob", answers())
    caller = await team.caller(number)
    await team.talks(number, "bob")
    await caller.hang_up()
    history = await team.ended(number)
    assert sorted(history.attempts) == [("ann", "unreachable"), ("bob", "answered")]
    await team.nothing_left()


@pytest.mark.parametrize("target", ["p03", OUTSIDE, "*43"])
async def test_a_forward_is_not_followed(team: Team, target: str) -> None:
    """A 302 neither rings the phone it names nor dials out, wherever the call goes then."""
    number = await team.number(["ann"])
    await team.phone("ann", redirects(target))
    elsewhere, outside = await team.phone("cat", answers()), await team.lab.carrier(answers())
    caller = await team.caller(number)
    caller.play(CALLER_HZ)
    await caller.answered()
    await caller.hears_something()  # the announcement
    assert caller.rtp.share(CALLER_HZ) < 0.5  # *43 would be the echo test
    assert elsewhere.agent.rings.empty()
    assert outside.agent.rings.empty()
    assert (await team.ended(number)).attempts == (("ann", "unreachable"),)
    await caller.hang_up()
    await team.nothing_left()


async def test_a_phone_that_says_nothing_at_all(team: Team) -> None:
    """Registered but dead: not even a 100. It is cancelled all the same, should it wake up."""
    number = await team.number(["ann", "bob"], strategy="in-order", ring_s=1)
    ann, bob = await team.phone("ann"), await team.phone("bob", rings_forever)
    caller = await team.caller(number)
    dead = await ann.rings()
    (await bob.rings()).answer()
    await team.talks(number, "bob")
    await dead.cancelled()
    await caller.hang_up()
    assert (await team.ended(number)).of("ann") == ["unreachable"]
    await team.nothing_left()


# -- rounds


async def test_a_new_round_begins_after_a_rest(team: Team) -> None:
    """Rung for ring_s without an answer, and again retry_s later."""
    number = await team.number(["ann"], ring_s=1, retry_s=1)
    ann = await team.phone("ann", rings_forever)
    caller = await team.caller(number)
    first = await ann.rings()
    cancelled = await first.cancelled()
    assert 0.9 < cancelled.at - first.at < 1.5
    assert "cause=26" not in cancelled.reason  # a missed call is right here
    second = await ann.rings()
    assert 0.9 < second.at - cancelled.at < 1.5
    second.answer()
    await team.talks(number, "ann")
    await caller.hang_up()
    await second.hung_up()
    assert (await team.ended(number)).attempts == (("ann", "no answer"), ("ann", "answered"))
    await team.nothing_left()


async def test_in_order_each_rings_in_turn_without_a_gap(team: Team) -> None:
    number = await team.number(["ann", "bob", "cat"], strategy="in-order", ring_s=1)
    ann, bob = await team.phone("ann", rings_forever), await team.phone("bob", rings_forever)
    cat = await team.phone("cat", rings_forever)
    caller = await team.caller(number)
    first = await ann.rings()
    assert bob.agent.rings.empty()
    cancelled = await first.cancelled()
    second = await bob.rings()
    assert 0.9 < cancelled.at - first.at < 1.5
    assert second.at - cancelled.at < 0.2
    second.reject(486)  # declines: no waiting at all
    third = await cat.rings(within_s=0.5)
    assert ann.agent.rings.empty()
    third.answer()
    await team.talks(number, "cat")
    await caller.hang_up()
    history = await team.ended(number)
    assert history.attempts == (("ann", "no answer"), ("bob", "declined"), ("cat", "answered"))
    await team.nothing_left()


async def test_in_order_the_second_caller_gets_the_second_member(team: Team) -> None:
    number = await team.number(["ann", "bob"], strategy="in-order")
    ann, bob = await team.phone("ann"), await team.phone("bob")
    one = await team.caller(number, "+4917011111")
    assert (await ann.rings()).caller_number == "+4917011111"
    two = await team.caller(number, "+4917022222")
    assert (await bob.rings()).caller_number == "+4917022222"
    await one.cancel()
    await two.cancel()
    await team.nothing_left()


# -- when the fallback comes


async def test_nobody_answers_within_max_wait(team: Team) -> None:
    number = await team.number(["ann", "bob"], max_wait_s=1)
    ann = await team.phone("ann", rings_forever)
    await team.phone("bob", rings_forever)
    caller = await team.caller(number)
    ring = await ann.rings()
    cancelled = await ring.cancelled()
    assert 0.9 < cancelled.at - ring.at < 1.5
    await caller.answered()
    await caller.hears_something()  # "nobody is available", to its end
    await caller.hung_up(within_s=10)
    history = await team.ended(number)
    assert history.outcome == "no answer"
    assert sorted(history.attempts) == [("ann", "no answer"), ("bob", "no answer")]
    await team.nothing_left()


async def test_all_declined_is_the_fallback_at_once(team: Team) -> None:
    number = await team.number(["ann", "bob"])
    await team.phone("ann", refuses(486))
    await team.phone("bob", refuses(603))
    caller = await team.caller(number)
    await caller.answered(within_s=1)
    await caller.hang_up()
    assert (await team.ended(number)).outcome == "all declined"
    await team.nothing_left()


async def test_nobody_registered_is_the_fallback_at_once(team: Team) -> None:
    number = await team.number(["ann", "bob"])
    caller = await team.caller(number)
    await caller.answered(within_s=1)
    await caller.hang_up()
    assert (await team.ended(number)).outcome == "nobody free"
    await team.nothing_left()


async def test_a_number_without_members_is_the_fallback_at_once(team: Team) -> None:
    number = await team.number([])
    caller = await team.caller(number)
    await caller.answered(within_s=1)
    await caller.hang_up()
    assert (await team.ended(number)).outcome == "nobody free"
    await team.nothing_left()


async def test_all_in_calls_is_the_fallback_at_once(team: Team) -> None:
    number = await team.number(["ann"])
    await team.phone("ann", answers())
    first = await team.caller(number, "+4917011111")
    await team.talks(number, "ann")
    second = await team.caller(number, "+4917022222")
    await second.answered()
    await second.hears_something()
    await second.hang_up()
    assert first.talking
    await first.hang_up()
    await team.nothing_left()


# -- where the fallback leads


async def test_the_fallback_is_another_shared_number(team: Team) -> None:
    sales = await team.number(["bob"])
    support = await team.number(["ann"], fallback=f"number:{sales}")
    bob = await team.phone("bob", rings_forever)
    caller = await team.caller(support)  # ann's phone is off
    ring = await bob.rings()
    assert ring.caller_number == "+4917012345"
    ring.answer(ANN_HZ)
    await team.talks(sales, "bob")
    await caller.hears(ANN_HZ)
    await caller.hang_up()
    assert (await team.ended(support)).outcome == "nobody free"
    assert (await team.ended(sales)).answered_by == "bob"
    await team.nothing_left()


async def test_two_numbers_that_fall_back_on_each_other(team: Team) -> None:
    """No ping-pong: after three hops the caller hears that nobody is available."""
    sales = await team.number(["bob"])
    support = await team.number(["ann"], fallback=f"number:{sales}")
    await team.change(sales, fallback=f"number:{support}")
    caller = await team.caller(support)
    await caller.answered()
    await caller.hears_something()
    await caller.hang_up()
    await team.nothing_left()


async def test_the_fallback_is_a_number_outside(team: Team) -> None:
    number = await team.number(["ann"], fallback=f"number:{OUTSIDE}")
    outside = await team.lab.carrier(rings_forever)
    caller = await team.caller(number)
    ring = await outside.rings()
    assert ring.called == OUTSIDE
    ring.answer(ANN_HZ)
    await caller.answered()
    await caller.hears(ANN_HZ)
    assert (await team.ended(number)).outcome == "nobody free"
    await caller.hang_up()
    await ring.hung_up()
    await team.nothing_left()


async def test_the_fallback_is_an_extension_of_the_dialplan(team: Team) -> None:
    number = await team.number(["ann"], fallback="extension:*43@from-agents")
    caller = await team.caller(number)
    caller.play(CALLER_HZ)
    await caller.answered()
    await caller.hears(CALLER_HZ)  # the echo test
    await caller.hang_up()
    await team.nothing_left()


async def test_the_fallback_of_many_at_once(team: Team) -> None:
    """Ten callers in the same instant and nobody there: each hears the announcement."""
    number = await team.number([])
    callers = [await team.caller(number, f"+491701000{n}") for n in range(10)]
    await asyncio.gather(*(caller.answered() for caller in callers))
    await asyncio.gather(*(caller.hears_something() for caller in callers))
    await asyncio.gather(*(caller.hang_up() for caller in callers))
    await team.nothing_left()
