"""The simulator's Asterisk is held to the truth: a real one tells the same stories."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from ari_app.ari import wire
from ari_app.ari.client import AriClient
from ari_app.ari.ids import leg_channel
from ari_app.ari.observe import Observed, observe
from ari_app.ari.requests import Request
from ari_app.core.commands import LegId
from ari_app.sim.asterisk import APP, Asterisk, Channel
from tests.e2e.fake_scenarios import SCENARIOS
from tests.e2e.fake_story import CALLER, NUMBER, PHONES, Step, Story, differences
from tests.lab.asterisk import AsteriskInstance
from tests.lab.outgoing import Outgoing
from tests.lab.phones import Lab, ShapedPhone, default_phones
from tests.lab.ring import Ring
from tests.lab.root import Root
from tests.lab.waiting import Missed, queued, until

pytestmark = pytest.mark.e2e

MOMENT_S = (
    0.025  # what comes later than all that was awaited is seen in the next step at the latest
)
PATIENCE_S = 1.0
CALLS = itertools.count(1)


class Hears:
    """Events, without what the same phone's last one said: Asterisk says some states twice."""

    def __init__(self, seen: list[wire.WireEvent]) -> None:
        self._seen = seen
        self._states = {f"PJSIP/{PHONES[who]}": "NOT_INUSE" for who in ("ann", "bob")}

    def on_event(self, event: wire.WireEvent) -> None:
        if isinstance(event, wire.DeviceStateChanged):
            device = event.device_state
            if self._states.get(device.name) == device.state:
                return
            self._states[device.name] = device.state
        self._seen.append(event)


class FakeDriver:
    """The fake, in a world that watches nothing."""

    def __init__(self) -> None:
        self.seen: list[wire.WireEvent] = []
        self._hears = Hears(self.seen)
        self._asterisk = Asterisk(self)
        self._callers: dict[str, str] = {}
        self._away = {f"PJSIP/{PHONES['away']}"}

    async def connects(self) -> None:
        self._asterisk.emit = self._hears.on_event

    async def cuts(self) -> None:
        self._asterisk.emit = None

    async def carries_out(self, request: Request) -> int:
        return self._asterisk.carry_out(request)

    async def observes(self) -> Observed:
        return self._asterisk.observe()

    async def dies(self) -> None:
        self._asterisk.crashes()

    async def caller_dials(self, who: str) -> bool:
        self._callers[who] = f"chan-{who}"
        caller = wire.CallerID(number=CALLER)
        return self._asterisk.caller_dials(
            Channel(f"chan-{who}", "Ring", caller, ("in", NUMBER, "DE"))
        )

    async def caller_hangs_up(self, who: str) -> None:
        self._asterisk.hangs_up(self._callers[who])

    async def hears_ringing(self, who: str) -> None: ...

    async def phone_is_called(self, leg: LegId, phone: str) -> None: ...

    async def phone_rang(self, leg: LegId) -> None:
        self._asterisk.phone_rang(leg_channel(leg))

    async def phone_answered(self, leg: LegId) -> None:
        self._asterisk.phone_answered(leg_channel(leg))

    async def phone_refused(self, leg: LegId, sip: int) -> None:
        self._asterisk.phone_refused(leg_channel(leg), Q850.get(sip, 38), sip)

    async def phone_timed_out(self, leg: LegId) -> None:
        self._asterisk.phone_refused(leg_channel(leg), 19, 480)

    async def phone_hangs_up(self, leg: LegId) -> None:
        self._asterisk.hangs_up(leg_channel(leg))

    async def phone_registers(self, phone: str, *, comes: bool) -> None:
        endpoint = f"PJSIP/{phone}"
        if comes != (endpoint in self._away):
            return  # a refresh
        self._away ^= {endpoint}
        self._asterisk.phone_changed(endpoint)

    async def settles(self, events: int) -> None: ...

    # --- the fake's world ---

    def phone_is_registered(self, endpoint: str) -> bool:
        return endpoint not in self._away

    def phone_rings(self, channel: Channel) -> None: ...

    def joined(self, bridge: str, channels: frozenset[str]) -> None: ...

    def caller_continues(self, channel: str, context: str) -> None: ...

    def gone(self, channel: str, *, by_us: bool) -> None: ...


# What the phone's answer becomes is the world's to say (sim/people.py).
Q850 = {486: 17, 600: 17, 603: 21, 480: 19, 408: 18, 404: 1, 488: 58, 500: 38, 503: 34, 302: 23}


class RealDriver:
    """A real Asterisk, shaped phones, and our own client."""

    def __init__(self, asterisk: AsteriskInstance, lab: Lab) -> None:
        self.seen: list[wire.WireEvent] = []
        self._asterisk = asterisk
        self._lab = lab
        self._socket: asyncio.Task[None] | None = None
        self._ups: asyncio.Queue[None] = asyncio.Queue()
        self._callers: dict[str, Outgoing] = {}
        self._hears = Hears(self.seen)
        self._phones: dict[str, ShapedPhone] = {}
        self._bells: dict[LegId, Ring] = {}
        url, user, password = asterisk.ari_url, asterisk.ari_user, asterisk.ari_password
        watched = [f"PJSIP/{name}" for name in PHONES.values()]
        self.client = AriClient(url, user, password, APP, phones=lambda: watched)

    async def opens(self) -> None:
        for name in ("ann", "bob"):
            self._phones[PHONES[name]] = await self._lab.shaped_phone(PHONES[name])
        await self.connects()

    async def connects(self) -> None:
        up = lambda: self._ups.put_nowait(None)  # noqa: E731
        self._socket = asyncio.create_task(self.client.run(self._hears.on_event, up, lambda: None))
        await queued(self._ups, 3, "connected")

    async def cuts(self) -> None:
        assert self._socket is not None
        self._socket.cancel()
        await asyncio.gather(self._socket, return_exceptions=True)
        self._socket = None

    async def carries_out(self, request: Request) -> int:
        return (await self.client.send(request)).status

    async def observes(self) -> Observed:
        return await observe(self.client, APP)

    async def dies(self) -> None:
        await asyncio.to_thread(self._asterisk.kill9)
        await asyncio.to_thread(self._asterisk.start)
        await queued(self._ups, 10, "connected again")

    async def caller_dials(self, who: str) -> bool:
        call = self._callers[who] = await self._lab.caller_dials(NUMBER, caller=CALLER)
        if self._socket is None:
            await call.answered()  # the fallback takes a message
            return False
        await until(lambda: self.seen, 3, f"{who} is in the app")
        return True

    async def caller_hangs_up(self, who: str) -> None:
        call = self._callers[who]
        if call.final_status:
            await call.hang_up()
        else:
            await call.cancel()

    async def hears_ringing(self, who: str) -> None:
        if not self._callers[who].final_status:
            await self._callers[who].rings()

    async def phone_is_called(self, leg: LegId, phone: str) -> None:
        self._bells[leg] = await self._phones[phone].rings()

    async def phone_rang(self, leg: LegId) -> None:
        self._bells[leg].ringing()

    async def phone_answered(self, leg: LegId) -> None:
        self._bells[leg].answer()

    async def phone_refused(self, leg: LegId, sip: int) -> None:
        if sip == 302:
            self._bells[leg].redirect("200")
        else:
            self._bells[leg].reject(sip)

    async def phone_timed_out(self, leg: LegId) -> None:
        await self._bells[leg].cancelled()

    async def phone_hangs_up(self, leg: LegId) -> None:
        await self._bells[leg].hang_up()

    async def phone_registers(self, phone: str, *, comes: bool) -> None:
        if comes:
            await self._phones[phone].registers()
        else:
            await self._phones[phone].unregisters()

    async def settles(self, events: int) -> None:
        with suppress(Missed):
            await until(lambda: len(self.seen) >= events, PATIENCE_S, "")
        await asyncio.sleep(MOMENT_S)

    async def closes(self) -> None:
        """Leave nothing to the next story."""
        if self._socket is not None:
            await self.cuts()
        for kind in ("channels", "bridges"):
            for each in self._asterisk.ari("GET", f"/{kind}"):
                await self.client.send(Request("DELETE", f"/{kind}/{each['id']}"))
        await until(lambda: not self._asterisk.ari("GET", "/channels"), 3, "all channels end")


@pytest.fixture(scope="module")
def asterisk(root: Root) -> Iterator[AsteriskInstance]:
    with AsteriskInstance(root, app=APP, phones=default_phones(len(PHONES))) as instance:
        yield instance


@pytest.fixture
async def real(asterisk: AsteriskInstance) -> AsyncIterator[RealDriver]:
    async with Lab(asterisk) as lab:
        driver = RealDriver(asterisk, lab)
        async with driver.client:
            await driver.opens()
            yield driver
            await driver.closes()


async def fake_steps(name: str, call: int) -> list[Step]:
    driver = FakeDriver()
    await driver.connects()
    return await Story(driver, call).tell(SCENARIOS[name])


@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_fake_tells_what_asterisk_tells(real: RealDriver, name: str) -> None:
    call = next(CALLS)
    expected = await fake_steps(name, call)
    found = differences(expected, await Story(real, call, expected).tell(SCENARIOS[name]))
    assert not found, "\n".join([name, *found])
