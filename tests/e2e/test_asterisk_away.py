"""Asterisk is not there yet, or restarts under us; and phones that we make in it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from ari_app.endpoints import digest
from ari_app.store.engine import writing
from ari_app.store.tables import AGENT, DEVICE
from tests.e2e.service import Controller, comes_true
from tests.e2e.team import Team
from tests.lab.asterisk import AsteriskInstance
from tests.lab.phones import Lab, default_phones, rings_forever
from tests.lab.root import Root
from tests.lab.tones import ANN_HZ, CALLER_HZ

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
async def later(root: Root) -> AsyncIterator[AsteriskInstance]:
    """An Asterisk of this module's own, which is not started yet."""
    instance = AsteriskInstance(root, phones=default_phones(2))
    yield instance
    await asyncio.to_thread(instance.close)


async def test_it_waits_for_asterisk_and_makes_phones_in_it(
    later: AsteriskInstance, tmp_path: Path
) -> None:
    """One Asterisk's life: not there yet, there, restarted; with a phone that we manage."""
    async with Controller(later, tmp_path) as controller:
        controller.launch()
        await controller.says("no asterisk there yet, trying on", 5)
        await asyncio.to_thread(later.start)
        await controller.says("deciding", 10)
        async with Lab(later) as lab:
            team = Team(controller, lab)
            number = await team.number(["ann"])
            await a_plain_call(team, number)
            password = await a_managed_phone(team)
            await team.add("zoe", number)
            await zoe_is_rung(team, number, password)
        await asyncio.to_thread(later.restart)
        await controller.says("asterisk is back", 15)
        await team.fallback_is(number, "PJSIP/p01&PJSIP/zoe-desk")
        async with Lab(later) as lab:
            team.lab = lab
            await zoe_is_rung(team, number, password)


async def a_plain_call(team: Team, number: str) -> None:
    ann = await team.phone("ann", rings_forever)
    caller = await team.caller(number)
    (await ann.rings()).answer()
    await team.talks(number, "ann")
    await caller.hang_up()
    await team.nothing_left()
    await ann.unregisters()


async def a_managed_phone(team: Team) -> str:
    """What `agents add zoe --phone` writes; ready once the controller has made it in Asterisk."""
    password = "zoes-password"
    engine = team.controller.engine
    with writing(engine) as rows:
        made = rows.execute(insert(AGENT).values(name="zoe", removed=False))
        row = {"agent_id": made.inserted_primary_key[0], "endpoint": "PJSIP/zoe-desk"}
        secret = {"managed": True, "digest": digest("zoe-desk", password)}
        rows.execute(insert(DEVICE).values(state="wanted", problem="", **row, **secret))

    def ready() -> bool:
        with engine.connect() as rows:
            return rows.execute(select(DEVICE.c.state).where(DEVICE.c.managed)).scalar() == "ready"

    await comes_true(ready, 3, "zoe's phone is ready")
    return password


async def zoe_is_rung(team: Team, number: str, password: str) -> None:
    phone = await team.lab.phone("zoe-desk", password)
    caller = await team.caller(number)
    call = await phone.rings()
    await call.answer(ANN_HZ)
    await caller.answered()
    caller.play(CALLER_HZ)
    await caller.hears(ANN_HZ)
    await call.hears(CALLER_HZ)
    await caller.hang_up()
    await call.hung_up()
    await team.nothing_left()


async def test_asterisk_restarts_under_a_call(later: AsteriskInstance, tmp_path: Path) -> None:
    """The call is over, its agent is free, and the next caller gets through."""
    if later.pid is None:
        await asyncio.to_thread(later.start)
    async with Controller(later, tmp_path) as controller, Lab(later) as lab:
        await controller.start()
        team = Team(controller, lab)
        number = await team.number(["ann"])
        ann = await team.phone("ann", rings_forever)
        await team.caller(number)
        (await ann.rings()).answer()
        await team.talks(number, "ann")
        await asyncio.to_thread(later.kill9)
        await controller.says("asterisk lost, trying on", 10)
        await asyncio.to_thread(later.start)
        await controller.says("asterisk is back", 15)
        assert (await team.ended(number)).outcome == "answered"
        await team.nothing_left()
        await ann.registers()
        await a_plain_call(team, number)


async def test_a_managed_phone_is_removed(later: AsteriskInstance, tmp_path: Path) -> None:
    if later.pid is None:
        await asyncio.to_thread(later.start)
    async with Controller(later, tmp_path) as controller, Lab(later) as lab:
        await controller.start()
        team = Team(controller, lab)
        await a_managed_phone(team)
        with writing(controller.engine) as rows:
            rows.execute(update(DEVICE).values(state="unwanted"))

        def forgotten() -> bool:
            with controller.engine.connect() as rows:
                return rows.execute(select(DEVICE)).first() is None

        await comes_true(forgotten, 3, "zoe's phone is forgotten")
        found = await asyncio.to_thread(later.ari, "GET", "/endpoints/PJSIP")
        assert "zoe-desk" not in {endpoint["resource"] for endpoint in found}
