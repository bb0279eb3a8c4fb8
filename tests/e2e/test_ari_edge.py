"""The edge on a real Asterisk: every claim that the code of ari_app/ari makes about it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from ari_app import endpoints
from ari_app.ari import requests, setup, wire
from ari_app.ari.client import AriClient, AriRefused, Replaced, Reply
from ari_app.ari.ids import leg_channel, talk_bridge
from ari_app.ari.observe import observe
from ari_app.ari.requests import Outcome, Request
from ari_app.ari.translate import Translated, Translator
from ari_app.core import commands, events
from ari_app.core.commands import HangUpReason, LegId
from ari_app.core.events import LegEnd, PhoneFree
from tests.lab.asterisk import AsteriskInstance
from tests.lab.phones import Lab, answers, default_phones, redirects, refuses, rings_forever
from tests.lab.root import Root
from tests.lab.waiting import queued

NEVER = 2**62  # too late to be sent

pytestmark = pytest.mark.e2e

APP = "sharedline-edge"  # of its own, so that no other test's controller is replaced
NUMBER = "+4930123456"
CALLER = "+4917012345"
Kind = TypeVar("Kind")


class Edge:
    """A client and a translator, as the runtime will join them."""

    def __init__(self, asterisk: AsteriskInstance) -> None:
        self.client = AriClient(
            asterisk.ari_url,
            asterisk.ari_user,
            asterisk.ari_password,
            asterisk.app,
            phones=lambda: [f"PJSIP/{name}" for name in asterisk.phones],
        )
        self.app = asterisk.app
        self.translator = Translator(
            asterisk.app, lambda number, _: number, itertools.count(1).__next__, {}
        )
        self.seen: asyncio.Queue[Translated] = asyncio.Queue()
        self.ups: asyncio.Queue[None] = asyncio.Queue()
        self.downs: asyncio.Queue[None] = asyncio.Queue()

    def _on_event(self, event: wire.WireEvent) -> None:
        translated = self.translator.translate(event, 0)
        if translated is not None:
            self.seen.put_nowait(translated)

    async def run(self) -> None:
        await self.client.run(
            self._on_event,
            lambda: self.ups.put_nowait(None),
            lambda: self.downs.put_nowait(None),
        )

    async def next(self, kind: type[Kind]) -> Kind:
        """The next event of that kind; others before it are dropped."""
        while not isinstance(event := await queued(self.seen, 3, kind.__name__), kind):
            pass
        return event

    async def send(self, command: commands.Command) -> Outcome:
        request = requests.request(command, self.app)
        return requests.outcome(request, (await self.client.send(request)).status)

    async def reply(self, request: Request) -> Reply:
        return await self.client.send(request)


@asynccontextmanager
async def connected(asterisk: AsteriskInstance) -> AsyncIterator[Edge]:
    edge = Edge(asterisk)
    async with edge.client:
        task = asyncio.create_task(edge.run())
        try:
            await queued(edge.ups, 5, "connected")
            yield edge
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(scope="module")
def asterisk(root: Root) -> Iterator[AsteriskInstance]:
    with AsteriskInstance(root, app=APP, phones=default_phones(4)) as instance:
        yield instance


@pytest.fixture
async def edge(asterisk: AsteriskInstance) -> AsyncIterator[Edge]:
    async with connected(asterisk) as edge:
        yield edge


def ring(leg: LegId, phone: str = "p01", timeout_s: int = 20) -> commands.Ring:
    return commands.Ring(leg.call, leg, f"PJSIP/{phone}", CALLER, "Sales: Jörg", timeout_s, NEVER)


# -- connecting


async def test_subscribes_and_filters(asterisk: AsteriskInstance, edge: Edge) -> None:
    application = asterisk.ari("GET", f"/applications/{APP}")
    assert {kind["type"] for kind in application["events_disallowed"]} == set(setup.NOISE)
    assert application["events_allowed"] == []
    assert set(application["device_names"]) == {f"PJSIP/{name}" for name in asterisk.phones}
    async with Lab(asterisk) as lab:
        phone = await lab.shaped_phone("p01")
        for _ in range(2):
            assert await edge.next(PhoneFree) == PhoneFree(0, "PJSIP/p01")
            await phone.registers()  # a refresh is no news
            await phone.unregisters()
            await phone.registers()
    assert edge.client.counts.unknown == edge.client.counts.malformed == 0


async def test_a_wrong_password_is_fatal(asterisk: AsteriskInstance) -> None:
    client = AriClient(asterisk.ari_url, asterisk.ari_user, "no-such", APP)
    async with client:
        with pytest.raises(AriRefused, match="401, wrong user or password"):
            await client.run(lambda _: None, lambda: None, lambda: None)


async def test_asterisk_away_and_back_is_one_line_each(root: Root) -> None:
    with capture_logs() as lines, AsteriskInstance(root, app=APP) as own:
        async with connected(own) as edge:
            await asyncio.to_thread(own.stop)
            await queued(edge.downs, 3, "down")
            assert (await edge.reply(Request("GET", "/channels"))).status == requests.UNSENT
            await asyncio.to_thread(own.start)
            await queued(edge.ups, 8, "up again")
            application = own.ari("GET", f"/applications/{APP}")
            assert len(application["events_disallowed"]) == len(setup.NOISE)
    told = [line["event"] for line in lines]
    assert told == ["asterisk connected", "asterisk lost, trying on", "asterisk is back"]
    assert own.ari_password not in repr(lines)


async def test_the_later_controller_wins(asterisk: AsteriskInstance) -> None:
    first = Edge(asterisk)
    async with first.client:
        task = asyncio.create_task(first.run())
        await queued(first.ups, 3, "the first is up")
        async with connected(asterisk) as second:
            with pytest.raises(Replaced):
                await asyncio.wait_for(task, 3)
            async with Lab(asterisk) as lab:
                call = await lab.caller_dials(NUMBER)
                await second.next(events.CallArrived)
                await call.cancel()


# -- a call


async def test_a_whole_call(asterisk: AsteriskInstance, edge: Edge) -> None:
    async with Lab(asterisk) as lab:
        phone = await lab.shaped_phone("p01")
        call = await lab.caller_dials(NUMBER, caller=CALLER, name="Jörg <x>")
        arrived = await edge.next(events.CallArrived)
        assert (arrived.dialled, arrived.caller_number) == (NUMBER, CALLER)
        assert arrived.caller_name == "Jörg x"
        leg = LegId(arrived.call, 1, 1)
        assert await edge.send(commands.RingBack(arrived.call, arrived.channel)) is Outcome.DONE
        await call.rings()
        assert await edge.send(ring(leg)) is Outcome.DONE
        assert await edge.send(ring(leg)) is Outcome.DONE  # 409: ours lives
        bell = await phone.rings()
        assert (bell.caller_number, bell.caller_name) == (CALLER, "Sales: Jörg")
        bell.ringing()
        assert (await edge.next(events.LegRang)).leg == leg
        bell.answer(900)
        assert (await edge.next(events.LegAnswered)).leg == leg
        for command in (
            commands.AnswerCaller(arrived.call, arrived.channel),
            commands.MakeTalk(arrived.call),
            commands.MakeTalk(arrived.call),
            commands.JoinTalk(arrived.call, arrived.channel, leg, NEVER),
        ):
            assert await edge.send(command) is Outcome.DONE
        joined = {(await edge.next(events.JoinedTalk)).leg for _ in range(2)}
        assert joined == {None, leg}
        await call.hears(900)
        await sees_the_talk(edge, arrived, leg)
        await bell.hang_up()
        assert (await edge.next(events.LegEnded)).end is LegEnd.HUNG_UP
        await ends_in_the_fallback(edge, arrived, leg)
        assert (await call.hung_up(10)).method == "BYE"


async def sees_the_talk(edge: Edge, arrived: events.CallArrived, leg: LegId) -> None:
    observed = await observe(edge.client, APP)
    both = {arrived.channel, leg_channel(leg)}
    assert observed.bridges == {talk_bridge(arrived.call): both}
    assert {c.id for c in observed.channels.values() if c.in_app and c.state == "Up"} == both


async def ends_in_the_fallback(edge: Edge, arrived: events.CallArrived, leg: LegId) -> None:
    """What is over answers as gone; the caller goes on in the dialplan."""
    call, channel = arrived.call, arrived.channel
    assert await edge.send(commands.JoinTalk(call, channel, leg, NEVER)) is Outcome.GONE
    assert await edge.send(commands.HangUpLeg(call, leg, HangUpReason.NORMAL)) is Outcome.GONE
    assert await edge.send(commands.EndTalk(call)) is Outcome.DONE
    assert await edge.send(commands.EndTalk(call)) is Outcome.GONE
    leave = commands.LeaveTo(call, channel, "nobody", NUMBER)
    assert await edge.send(leave) is Outcome.DONE
    assert (await edge.next(events.CallerLeft)).call == call
    assert await edge.send(leave) is Outcome.GONE
    assert await edge.send(commands.RingBack(call, channel)) is Outcome.GONE
    assert edge.translator.callers == {}


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (486, LegEnd.REFUSED),
        (603, LegEnd.REFUSED),
        (480, LegEnd.SILENT),
        (408, LegEnd.SILENT),
        (404, LegEnd.FAILED),
        (503, LegEnd.FAILED),
    ],
)
async def test_how_a_phone_refuses(
    asterisk: AsteriskInstance, edge: Edge, status: int, end: LegEnd
) -> None:
    async with Lab(asterisk) as lab:
        await lab.shaped_phone("p01", refuses(status))
        leg = LegId(1000, 1, status)
        await edge.send(ring(leg))
        assert (await edge.next(events.LegRang)).leg == leg
        assert await edge.next(events.LegEnded) == events.LegEnded(0, 1000, leg, end)


async def test_a_forward_is_never_followed(asterisk: AsteriskInstance, edge: Edge) -> None:
    async with Lab(asterisk) as lab:
        await lab.shaped_phone("p01", redirects("200"))
        for n in range(10):  # ChannelDestroyed has 23/302 or, often, cause 0
            await edge.send(ring(LegId(1001, 1, n)))
            assert (await edge.next(events.LegEnded)).end is LegEnd.FORWARDED
        assert asterisk.ari("GET", "/channels") == []


async def test_asterisks_own_timeout_is_silence(asterisk: AsteriskInstance, edge: Edge) -> None:
    async with Lab(asterisk) as lab:
        await lab.shaped_phone("p01", rings_forever)
        await edge.send(ring(LegId(1002, 1, 1), timeout_s=1))
        assert (await edge.next(events.LegEnded)).end is LegEnd.SILENT


async def test_losers_are_told_answered_elsewhere(asterisk: AsteriskInstance, edge: Edge) -> None:
    async with Lab(asterisk) as lab:
        phone = await lab.shaped_phone("p01", rings_forever)
        leg = LegId(1003, 1, 1)
        await edge.send(ring(leg))
        bell = await phone.rings()
        await edge.next(events.LegRang)
        hang_up = commands.HangUpLeg(1003, leg, HangUpReason.ELSEWHERE)
        assert await edge.send(hang_up) is Outcome.DONE
        assert "Call completed elsewhere" in (await bell.cancelled()).reason
        assert (await edge.next(events.LegEnded)).end is LegEnd.HUNG_UP


async def test_unregistered_fails_even_after_a_true_409(
    asterisk: AsteriskInstance, edge: Edge
) -> None:
    """Asterisk answers 409 for any failed originate on a connection that had a true 409."""
    async with Lab(asterisk) as lab:
        await lab.shaped_phone("p01", rings_forever)
        leg = LegId(1004, 1, 1)
        assert await edge.send(ring(LegId(1004, 4, 1), "p04")) is Outcome.FAILED
        for _ in range(2):
            assert await edge.send(ring(leg)) is Outcome.DONE
        raw = Request(
            "POST", "/channels", requests.request(ring(LegId(1004, 4, 2), "p04"), APP).query
        )
        assert (await edge.reply(raw)).status == 409  # Asterisk still does it
        assert await edge.send(ring(LegId(1004, 4, 3), "p04")) is Outcome.FAILED
        assert await edge.send(ring(LegId(1004, 5, 1), "no-such-phone")) is Outcome.FAILED
        await edge.send(commands.HangUpLeg(1004, leg, HangUpReason.NORMAL))


# -- settings


async def test_fallback_phones_reach_the_dialplan(asterisk: AsteriskInstance, edge: Edge) -> None:
    phones = [f"PJSIP/p{n:02}" for n in range(1, 99)]
    reply = await edge.reply(setup.fallback_phones(NUMBER, phones))
    assert reply.status == 204
    stored = asterisk.ari("GET", "/asterisk/variable", variable="FALLBACK_4930123456")
    assert stored["value"] == "&".join(phones)


def fields(asterisk: AsteriskInstance, kind: str, name: str) -> dict[str, str]:
    path = f"/asterisk/config/dynamic/res_pjsip/{kind}/{name}"
    found: list[dict[str, str]] = asterisk.ari("GET", path)
    own = {"auth", "aors", "contact", "username", "realm", "password", "password_digest"}
    return {f["attribute"]: f["value"] for f in found if f["attribute"] not in {*own, "md5_cred"}}


async def test_a_pushed_phone_registers_with_a_digest_only(
    asterisk: AsteriskInstance, edge: Edge
) -> None:
    """Asterisk never sees the password, and the phone equals those of pjsip.conf."""
    password = 'pä:ss "word"'
    for request in setup.phone_objects("pushed", endpoints.digest("pushed", password)):
        assert (await edge.reply(request)).status == 200
    for kind in ("endpoint", "aor", "auth"):
        assert fields(asterisk, kind, "pushed") == fields(asterisk, kind, "p01")
    async with Lab(asterisk) as lab:
        asterisk.phones["pushed"] = password
        for request in setup.phone_watch(APP, ["PJSIP/pushed"]):
            assert (await edge.reply(request)).status == 200
        phone = await lab.shaped_phone("pushed")
        assert (await edge.next(PhoneFree)).endpoint == "PJSIP/pushed"
        await edge.send(ring(LegId(1005, 1, 1), "pushed"))
        (await phone.rings()).reject(486)
        for request in setup.phone_objects("pushed", endpoints.digest("pushed", "another")):
            assert (await edge.reply(request)).status == 200
        assert await phone.agent.register(lab.server) == 401
        await is_removed(edge)
        lab._shaped.remove(phone)  # it can't say goodbye any more
        del asterisk.phones["pushed"]


async def is_removed(edge: Edge) -> None:
    for status in (204, 404):
        for request in setup.phone_removal("pushed"):
            reply = await edge.reply(request)
            assert reply.status == status
            assert requests.outcome(request, status) in {Outcome.DONE, Outcome.GONE}
    assert await edge.send(ring(LegId(1005, 1, 2), "pushed")) is Outcome.FAILED


async def test_a_phone_of_the_file_is_not_ours_to_push(edge: Edge) -> None:
    for request in (*setup.phone_objects("p01", "0" * 32), *setup.phone_removal("p01")):
        assert (await edge.reply(request)).status == 403


# -- while we are away (docs/decisions/0001)


async def test_what_happens_while_the_controller_is_away(asterisk: AsteriskInstance) -> None:
    async with Lab(asterisk) as lab:
        phone = await lab.shaped_phone("p01", rings_forever)
        late = await lab.shaped_phone("p02", rings_forever)
        await lab.shaped_phone("p03", answers())
        async with connected(asterisk) as edge:
            await edge.reply(setup.fallback_phones(NUMBER, ["PJSIP/p03"]))
            waiting = await lab.caller_dials(NUMBER)
            arrived = await edge.next(events.CallArrived)
            answered, ringing = LegId(arrived.call, 1, 1), LegId(arrived.call, 2, 1)
            for leg, name in ((answered, "p01"), (ringing, "p02")):
                await edge.send(ring(leg, name))
            bell, later = await phone.rings(), await late.rings()
        new = await lab.caller_dials(NUMBER)
        await new.answered(3)  # by [fallback], at once
        bell.answer()
        assert (await bell.hung_up()).method == "BYE"
        async with connected(asterisk) as edge:
            observed = await observe(edge.client, APP)
            assert set(observed.channels) == {arrived.channel, leg_channel(ringing)}
            assert edge.seen.empty()  # nothing is told again
            later.answer()
            assert (await edge.next(events.LegAnswered)).leg == ringing
            await edge.send(commands.HangUpLeg(arrived.call, ringing, HangUpReason.NORMAL))
            assert (await edge.next(events.LegEnded)).end is LegEnd.HUNG_UP
            caller = commands.HangUpCaller(arrived.call, arrived.channel, HangUpReason.NO_ANSWER)
            assert await edge.send(caller) is Outcome.DONE
            assert await waiting.refused() == 480


async def test_asterisk_survives_sockets_that_close_while_phones_come_and_go(root: Root) -> None:
    """With a subscription to `endpoint:` it crashes within 200 rounds (docs/decisions/0001)."""
    with AsteriskInstance(root, app=APP, phones=default_phones(1)) as own:
        async with Lab(own) as lab:
            phone = await lab.shaped_phone("p01")
            for _ in range(200):
                async with connected(own):
                    await phone.unregisters()
                await phone.registers()
        assert own.pid is not None
