"""While no controller is there: the dialplan serves the callers, and the history tells it later."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ari_app.store.tables import AGENT, CALL
from tests.e2e.service import Controller, comes_true
from tests.e2e.team import Team
from tests.lab.asterisk import AsteriskInstance
from tests.lab.phones import Lab, answers, default_phones, refuses, rings_forever
from tests.lab.root import Root
from tests.lab.tones import ANN_HZ, CALLER_HZ
from tests.lab.waiting import Missed

pytestmark = pytest.mark.e2e


def spool_of(asterisk: AsteriskInstance) -> Path:
    folder = asterisk.folder / "spool/sharedline"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _no_folder_afterwards(asterisk: AsteriskInstance) -> Iterator[None]:
    yield
    shutil.rmtree(spool_of(asterisk))


@pytest.fixture
async def controller(asterisk: AsteriskInstance, tmp_path: Path) -> AsyncIterator[Controller]:
    spool = str(spool_of(asterisk))
    async with Controller(asterisk, tmp_path, spool_dir=spool, health_bind="") as controller:
        yield await controller.start()


async def in_history(team: Team, number: str, outcome: str, count: int = 1) -> list[Any]:
    """Once the number's calls are these; the spool is empty then."""
    query = select(CALL, AGENT.c.name).outerjoin(AGENT, AGENT.c.id == CALL.c.agent_id)
    found: list[Any] = []

    def so() -> bool:
        with team.controller.engine.connect() as rows:
            found[:] = rows.execute(query.where(CALL.c.number == number)).all()
        return [row.outcome for row in found] == [outcome] * count

    try:
        await comes_true(so, 5, f"{count} calls of {number} in the history: {outcome}")
    except Missed as missed:
        raise Missed(f"{missed}, but {found}") from None
    spool = spool_of(team.controller.asterisk)
    await comes_true(lambda: not list(spool.glob("*.call")), 3, "the spool is empty")
    return found


async def test_a_phone_answers_the_fallback(team: Team) -> None:
    number = await team.number(["ann", "bob"])
    await team.phone("ann", rings_forever)
    bob = await team.phone("bob", answers(hz=ANN_HZ))
    assert await team.controller.stop() == 0
    caller = await team.caller(number, "+4917099", name="Kim")
    await caller.answered()
    await caller.hears(ANN_HZ)
    await caller.hang_up()
    await (await bob.rings()).hung_up()
    await team.controller.start()
    (call,) = await in_history(team, number, "answered by the fallback")
    assert (call.caller_number, call.caller_name, call.name) == ("+4917099", "Kim", "bob")
    assert call.arrived_at <= call.answered_at <= call.ended_at
    await team.nothing_left()


async def test_nobody_answers_and_the_caller_leaves_a_message(team: Team) -> None:
    number = await team.number(["ann"])
    await team.phone("ann", refuses(486))
    assert await team.controller.stop() == 0
    caller = await team.caller(number)
    await caller.answered()
    await caller.hears_something()
    wav = await recording_begins(team)
    caller.play(CALLER_HZ)
    await comes_true(lambda: wav.stat().st_size > 40_000, 8, "2.5 s of a message")
    await caller.hang_up()
    await team.controller.start()
    (call,) = await in_history(team, number, "message")
    assert call.name is None
    assert wav.stat().st_size > 40_000  # the message is still there
    wav.unlink()
    await team.nothing_left()


async def recording_begins(team: Team) -> Path:
    spool = spool_of(team.controller.asterisk)
    await comes_true(lambda: list(spool.glob("*.wav")), 20, "the recording begins")
    return next(spool.glob("*.wav"))


async def test_hanging_up_on_the_beep_is_a_missed_call(team: Team) -> None:
    number = await team.number([])
    assert await team.controller.stop() == 0
    caller = await team.caller(number)
    await caller.answered()
    wav = await recording_begins(team)
    await caller.hang_up()
    await team.controller.start()
    await in_history(team, number, "missed")
    assert not wav.exists()


async def test_the_caller_gives_up_while_the_fallback_rings(team: Team) -> None:
    number = await team.number(["ann"])
    ann = await team.phone("ann", rings_forever)
    await team.controller.kill9()
    caller = await team.caller(number)
    await ann.rings()
    assert await caller.cancel() == 487
    await team.controller.start()
    await in_history(team, number, "missed")


async def test_a_talk_of_the_fallback_outlives_our_return(team: Team) -> None:
    """Not in the history before it is over, and then with its whole length."""
    number = await team.number(["ann"])
    ann = await team.phone("ann", answers(hz=ANN_HZ))
    await team.controller.kill9()
    caller = await team.caller(number)
    await caller.answered()
    ring = await ann.rings()
    await team.controller.start()
    await caller.hears(ANN_HZ)
    assert team.outcomes(number) == {}
    await ring.hang_up()
    await caller.hung_up()
    (call,) = await in_history(team, number, "answered by the fallback")
    assert call.name == "ann"


async def test_the_controller_dies_for_good_while_a_caller_waits(team: Team) -> None:
    """The dead man's switch of the dialplan; the history tells it once a controller is back."""
    number = await team.number(["ann"], ring_s=2)
    asterisk = team.controller.asterisk
    asterisk.set_global(f"FALLBACK_AFTER_{number[1:]}", "2")
    ann = await team.phone("ann", rings_forever)
    caller = await team.caller(number)
    ring = await ann.rings()
    await caller.rings()
    await team.settled()
    await team.controller.kill9()
    ring.reject(480)
    again = await ann.rings(5)  # 2 s after the call came: the fallback's own Dial
    again.answer(ANN_HZ)
    await caller.answered()
    await caller.hears(ANN_HZ)
    await caller.hang_up()
    asterisk.set_global(f"FALLBACK_AFTER_{number[1:]}", "")
    await team.controller.start()
    (call,) = await in_history(team, number, "answered by the fallback")
    assert call.name == "ann"
    await team.nothing_left()


NAMES = [
    'x" how=message end',
    "Robert'); DROP TABLE call;--",
    "${SHELL(id)}${EPOCH}):0:3,)(",
    "a=b&c|d;e\\f%41%0a",
    "Zoë 測試 \u202eliam",
    "n" * 300,
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_caller_chooses_a_hostile_name(team: Team, name: str) -> None:
    number = await team.number([])
    assert await team.controller.stop() == 0
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    caller = await team.caller(number, name=quoted)
    await caller.answered()
    await caller.hang_up()
    await team.controller.start()
    (call,) = await in_history(team, number, "missed")
    assert call.caller_number == "+4917012345"
    assert call.caller_name[:1] in {name[0], ""}
    assert len(call.caller_name) <= 64
    assert not set(call.caller_name) & set('<>"\n\u202e')


@pytest.mark.parametrize(("called", "number"), [("sharedline", ""), ("1" * 30, "1" * 20)])
async def test_what_is_no_number_is_told_as_well(team: Team, called: str, number: str) -> None:
    assert await team.controller.stop() == 0
    caller = await team.caller(called)
    await caller.answered()
    await caller.hears_something()
    await caller.hang_up()
    await team.controller.start()
    await in_history(team, number, "missed")


async def test_many_at_once_are_each_told_once(team: Team) -> None:
    """And the controller is killed while it imports."""
    number = await team.number([])
    await team.controller.kill9()
    callers = [await team.caller(number, f"+491701000{n:02}") for n in range(20)]
    await asyncio.gather(*(caller.answered() for caller in callers))
    await asyncio.gather(*(caller.hang_up() for caller in callers))
    for _ in range(3):
        await team.controller.start()
        await team.controller.kill9()
    await team.controller.start()
    found = await in_history(team, number, "missed", 20)
    assert {row.caller_number for row in found} == {f"+491701000{n:02}" for n in range(20)}


async def test_an_asterisk_that_never_saw_us(root: Root, tmp_path: Path) -> None:
    """No fallback phones are known: the announcement and a message. Then Asterisk is killed."""
    with AsteriskInstance(root, phones=default_phones(1)) as asterisk:
        spool = spool_of(asterisk)
        async with Lab(asterisk) as lab:
            heard, cut = await lab.caller_dials("+4930111"), await lab.caller_dials("+4930222")
            await heard.answered()
            await heard.hears_something()
            await cut.answered()
            await heard.hang_up()

            def told() -> list[bool]:
                return sorted("how=missed" in each.read_text() for each in spool.glob("*.call"))

            await comes_true(lambda: told() == [False, True], 3, "one is told whole, one begun")
            await asyncio.to_thread(asterisk.kill9)
        await asyncio.to_thread(asterisk.start)
        settings = {"spool_dir": str(spool), "health_bind": ""}
        async with Controller(asterisk, tmp_path, **settings) as controller, Lab(asterisk) as lab:
            await controller.start()
            team = Team(controller, lab)
            await in_history(team, "+4930111", "missed")
            await in_history(team, "+4930222", "unknown")


async def test_without_a_folder_no_message_is_promised(root: Root) -> None:
    """The announcement, and that is all; Asterisk doesn't complain."""
    with AsteriskInstance(root, phones=default_phones(1)) as asterisk:
        async with Lab(asterisk) as lab:
            caller = await lab.caller_dials("+4930111")
            await caller.answered()
            await caller.hears_something()
            await caller.hung_up(15)
        assert [line for line in asterisk.log_lines() if "sharedline'" not in line] == []
