"""Which number was called, however the trunk writes it; and settings that act on the next call."""

import pytest

from tests.e2e.team import Team
from tests.lab.phones import Lab, answers, rings_forever
from tests.lab.tones import ANN_HZ

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("write", ["+49{}", "0049{}", "0{}", "49{}"])
async def test_a_trunk_writes_the_number_its_way(team: Team, write: str) -> None:
    number = await team.number(["ann"])
    ann = await team.phone("ann", rings_forever)
    caller = await team.caller(write.format(number.removeprefix("+49")))
    await ann.rings()
    await caller.cancel()
    assert (await team.ended(number)).outcome == "abandoned"
    await team.nothing_left()


@pytest.mark.parametrize("write", ["+49{}", "0{}", "+49{};npdi=yes"])
@pytest.mark.parametrize("called", ["", "s", "sharedline", "trunk-4711", "anonymous", "x", "*43"])
async def test_a_trunk_calls_a_name_and_puts_the_number_into_to(
    team: Team, lab: Lab, called: str, write: str
) -> None:
    number = await team.number(["ann"])
    ann = await team.phone("ann", rings_forever)
    to = write.format(number.removeprefix("+49"))
    caller = await lab.caller_dials(called, to=to)
    await ann.rings()
    await caller.cancel()
    assert (await team.ended(number)).outcome == "abandoned"
    await team.nothing_left()


@pytest.mark.parametrize(
    ("unknown", "known_as"),
    [
        ("+493088888888", "+493088888888"),
        ("03088888887", "+493088888887"),
        ("4711", "+494711"),
        ("999999999999999999", "999999999999999999"),
    ],
)
async def test_an_unknown_number_is_never_silence(team: Team, unknown: str, known_as: str) -> None:
    """An announcement for the caller, and a line in the journal for the admin."""
    await team.number(["ann"])
    ann = await team.phone("ann", answers())
    caller = await team.caller(unknown)
    await caller.answered(within_s=1)
    await caller.hears_something()
    history = await team.ended(known_as)
    assert history.outcome == "unknown number"
    assert team.journal(history.id)[0] == "CallArrived"
    await caller.hang_up()
    assert ann.agent.rings.empty()
    await team.nothing_left()


@pytest.mark.parametrize(
    ("called", "dialled"),
    [
        ("sharedline", ""),
        ("trunk-4711", ""),
        ("anonymous", ""),
        ("sales4711", ""),
        ("4711sales", "+494711"),
        ("4712;phone-context=+49", "+494712"),
        ("*43", ""),
        ("5", "5"),
        ("+", "+"),
        ("h.", ""),
        ("%29%3a0%3a2,%28", ""),
        ("7%29%3a1%3a1,%28", ""),
        ("T", ""),
        ("i", ""),
        ("a,b", ""),
        ("%22%24%7bEXTEN%7d)%5c", ""),
        ("1" * 21, "1" * 20),
        ("+" + "49301234" * 20, "+" + "49301234493012344930"[:19]),
        ("x" * 300, ""),
    ],
)
async def test_what_is_no_number_is_never_silence(team: Team, called: str, dialled: str) -> None:
    """The same as for a number that is unknown; `called` is in the request and in To."""
    await team.number(["ann"])
    before = team.outcomes(dialled)
    caller = await team.caller(called)
    await caller.answered(within_s=1)
    await caller.hears_something()
    history = await team.ended(dialled)
    assert (team.outcomes(dialled) - before) == {"unknown number": 1}
    assert team.journal(history.id)[0] == "CallArrived"
    await caller.hang_up()
    await team.nothing_left()


async def test_after_the_announcement_asterisk_hangs_up(team: Team) -> None:
    caller = await team.caller("+493088888888")
    await caller.answered()
    await caller.hung_up(within_s=10)
    await team.nothing_left()


async def test_a_number_that_is_added_while_we_run(team: Team) -> None:
    first = await team.number(["ann"])
    ann = await team.phone("ann", rings_forever)
    second = await team.number(["ann"])
    for number in (first, second):
        caller = await team.caller(number)
        await ann.rings()
        await caller.cancel()
        await team.nothing_left()


async def test_a_member_added_is_rung_by_the_next_call(team: Team) -> None:
    number = await team.number(["ann"])
    await team.phone("ann", rings_forever)
    bob = await team.phone("bob", rings_forever)
    await team.add("bob", number)
    caller = await team.caller(number)
    await bob.rings()
    await caller.cancel()
    await team.nothing_left()


async def test_a_member_removed_is_not_rung_by_the_next_call(team: Team) -> None:
    number = await team.number(["ann", "bob"])
    ann, bob = await team.phone("ann", rings_forever), await team.phone("bob", rings_forever)
    await team.remove("bob", number)
    caller = await team.caller(number)
    await ann.rings()
    await caller.cancel()
    await team.ended(number)
    assert bob.agent.rings.empty()
    await team.nothing_left()


async def test_a_call_keeps_the_settings_it_came_with(team: Team) -> None:
    """Changed while it rings: the call goes on as before, the next one by the new settings."""
    number = await team.number(["ann"], ring_s=20)
    ann = await team.phone("ann", rings_forever)
    caller = await team.caller(number)
    ring = await ann.rings()
    await team.change(number, fallback="extension:*43@from-agents")
    ring.reject(486)
    await caller.answered()
    await caller.hears_something()  # the announcement: an echo would be silent
    await caller.hang_up()
    again = await team.caller(number)
    (await ann.rings()).reject(486)
    again.play(700)
    await again.hears(700)
    await again.hang_up()
    await team.nothing_left()


async def test_an_agent_leaves_the_team_in_the_middle_of_a_talk(team: Team) -> None:
    """The talk goes on to its end; the next call rings the others only."""
    number = await team.number(["ann", "bob"])
    ann, bob = await team.phone("ann", rings_forever), await team.phone("bob", rings_forever)
    caller = await team.caller(number)
    ring, other = await ann.rings(), await bob.rings()
    ring.answer(ANN_HZ)
    await other.cancelled()
    await team.talks(number, "ann")
    await team.agent_leaves("ann", number)
    await caller.hears(ANN_HZ)
    await caller.hang_up()
    await ring.hung_up()
    assert (await team.ended(number)).answered_by == "ann"
    again = await team.caller(number)
    await bob.rings()
    await again.cancel()
    await team.nothing_left()
    assert ann.agent.rings.empty()


async def test_a_number_is_removed_while_it_rings(team: Team) -> None:
    """Its call goes on; for the next one it is unknown."""
    number = await team.number(["ann"])
    ann = await team.phone("ann", rings_forever)
    caller = await team.caller(number)
    ring = await ann.rings()
    await team.remove_number(number)
    ring.answer(ANN_HZ)
    await caller.answered()
    await caller.hears(ANN_HZ)
    await caller.hang_up()
    await ring.hung_up()
    await team.nothing_left()
    again = await team.caller(number)
    await again.answered()
    assert (await team.ended(number)).outcome == "unknown number"
    await again.hang_up()
    await team.nothing_left()
