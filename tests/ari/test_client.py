"""The client against a fake peer: what it does when Asterisk refuses, breaks, hangs or lies."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from ari_app.ari import wire
from ari_app.ari.client import AriClient, AriRefused, Limits, Replaced
from ari_app.ari.observe import ObserveFailed, observe
from ari_app.ari.requests import UNKNOWN, UNSENT, Request
from tests.ari import frames
from tests.ari.peer import CUT, HANG, PASSWORD, USER, FakeAsterisk
from tests.lab.waiting import until

QUICK = Limits(connect_s=0.5, total_s=0.2, heartbeat_s=0.2)
DEADLINE_S = 5.0
PING = Request("GET", "/asterisk/ping")


class Heard:
    """What `run` told: awaitable, in order."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[wire.WireEvent] = asyncio.Queue()
        self.ups: asyncio.Queue[None] = asyncio.Queue()
        self.downs: asyncio.Queue[None] = asyncio.Queue()

    def run(self, client: AriClient) -> Coroutine[Any, Any, None]:
        return client.run(
            self.events.put_nowait,
            lambda: self.ups.put_nowait(None),
            lambda: self.downs.put_nowait(None),
        )


def a_client(url: str, password: str = PASSWORD) -> AriClient:
    phones = ("PJSIP/ann", "PJSIP/bob")
    return AriClient(url, USER, password, frames.APP, phones=lambda: phones, limits=QUICK)


@asynccontextmanager
async def running(client: AriClient, heard: Heard) -> AsyncIterator[None]:
    task = asyncio.create_task(heard.run(client))
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_sets_up_then_hands_over_events_in_order() -> None:
    heard = Heard()
    async with FakeAsterisk() as peer, a_client(peer.url) as client, running(client, heard):
        await heard.ups.get()
        asked = [(asked.method, asked.url) for asked in peer.requests]
        assert asked == [
            ("GET", "/ari/events?app=sharedline&subscribeAll=false"),
            ("PUT", "/ari/applications/sharedline/eventFilter"),
            ("POST", "/ari/applications/sharedline/subscription"),
        ]
        assert peer.requests[-1].body == (
            b'{"eventSource":["deviceState:PJSIP/ann","deviceState:PJSIP/bob"]}'
        )
        assert PASSWORD not in repr(peer.requests)
        socket = await peer.sockets.get()
        for frame in (
            b"{",
            frames.caller_start("a"),
            frames.event("Dial"),
            frames.caller_start("b"),
        ):
            await socket.send_str(frame.decode())
        first, second = await heard.events.get(), await heard.events.get()
        assert isinstance(first, wire.StasisStart)
        assert isinstance(second, wire.StasisStart)
        assert (first.channel.id, second.channel.id) == ("a", "b")
        assert client.counts == wire.Counts(decoded=2, unknown=1, malformed=1)


@pytest.mark.parametrize(
    ("password", "statuses"),
    [("a-bad-one", {}), (PASSWORD, {"/applications/sharedline/subscription": 403})],
)
async def test_a_refused_user_is_fatal_in_one_line(password: str, statuses: dict[str, int]) -> None:
    async with FakeAsterisk() as peer, a_client(peer.url, password) as client:
        peer.statuses.update(statuses)
        with pytest.raises(AriRefused, match=r"refuses user 'sharedline' \(40[13]") as refused:
            await Heard().run(client)
    assert password not in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_no_asterisk_yet_is_one_line_and_then_it_connects() -> None:
    async with FakeAsterisk() as gone:
        port = gone.port
    heard = Heard()
    with capture_logs() as lines:
        async with a_client(f"http://127.0.0.1:{port}/ari") as client, running(client, heard):
            await until(lambda: lines, DEADLINE_S, "a line is logged")
            async with FakeAsterisk(port):
                await heard.ups.get()
                told = [(line["log_level"], line["event"]) for line in lines]
                assert heard.downs.empty()
    assert told == [
        ("warning", "no asterisk there yet, trying on"),
        ("info", "asterisk connected"),
    ]


async def test_breaks_and_heals_with_one_line_each() -> None:
    heard = Heard()
    with capture_logs() as lines:
        async with FakeAsterisk() as peer, a_client(peer.url) as client, running(client, heard):
            await heard.ups.get()
            peer.statuses["/events"] = 503
            await (await peer.sockets.get()).close()
            await heard.downs.get()
            refused = len(peer.requests) + 2  # let it fail again
            await until(lambda: len(peer.requests) >= refused, DEADLINE_S, "it tried again")
            del peer.statuses["/events"]
            await heard.ups.get()
    assert [line["event"] for line in lines] == [
        "asterisk connected",
        "asterisk lost, trying on",
        "asterisk is back",
    ]
    assert heard.downs.empty()


async def test_a_password_changed_while_running_is_no_reason_to_give_up() -> None:
    heard = Heard()
    async with FakeAsterisk() as peer, a_client(peer.url) as client, running(client, heard):
        await heard.ups.get()
        peer.statuses["/events"] = 401
        await (await peer.sockets.get()).close()
        await heard.downs.get()
        del peer.statuses["/events"]
        await heard.ups.get()


async def test_a_peer_that_stops_answering_pings_is_dropped() -> None:
    heard = Heard()
    async with (
        FakeAsterisk(answers_pings=False) as peer,
        a_client(peer.url) as client,
        running(client, heard),
    ):
        await heard.ups.get()
        await heard.downs.get()


async def test_replaced_ends_it_at_once() -> None:
    heard = Heard()
    async with FakeAsterisk() as peer, a_client(peer.url) as client:
        task = asyncio.create_task(heard.run(client))
        await heard.ups.get()
        await (await peer.sockets.get()).send_str(frames.event("ApplicationReplaced").decode())
        with pytest.raises(Replaced, match="another controller"):
            await asyncio.wait_for(task, DEADLINE_S)
        assert heard.downs.empty()
        assert peer.sockets.empty()


async def test_send_tells_unsent_from_unknown() -> None:
    async with FakeAsterisk() as peer, a_client(peer.url) as client:
        assert (await client.send(PING)).status == 204
        for status in (HANG, CUT):
            peer.statuses["/asterisk/ping"] = status
            assert (await client.send(Request("POST", "/asterisk/ping"))).status == UNKNOWN
    async with a_client(peer.url) as client:
        assert (await client.send(PING)).status == UNSENT


@pytest.mark.parametrize(
    ("lives", "status"), [(200, 409), (404, 500), (503, UNKNOWN), (CUT, UNKNOWN)]
)
async def test_a_409_is_believed_only_if_the_channel_lives(lives: int, status: int) -> None:
    async with FakeAsterisk() as peer, a_client(peer.url) as client:
        peer.statuses |= {"/channels": 409, "/channels/sl-1": lives}
        ring = Request("POST", "/channels", lives_at="/channels/sl-1")
        assert (await client.send(ring)).status == status
        assert (await client.send(Request("POST", "/channels"))).status == 409


async def test_queries_and_bodies_arrive_as_meant() -> None:
    async with FakeAsterisk() as peer, a_client(peer.url) as client:
        await client.send(Request("POST", "/x%2Fy", (("a", '"é" <+49&=>'),), {"b": "ü"}))
        (asked,) = peer.requests
        assert asked.url.startswith("/ari/x%2Fy?a=")
        assert "%2B49%26" in asked.url
        assert asked.body == '{"b":"ü"}'.encode()


async def test_observe_says_when_it_could_not_see() -> None:
    async with FakeAsterisk() as peer, a_client(peer.url) as client:
        peer.statuses["/applications/sharedline"] = 404
        with pytest.raises(ObserveFailed, match="GET /channels: 204"):
            await observe(client, frames.APP)
    async with a_client(peer.url) as client:
        with pytest.raises(ObserveFailed, match="-1"):
            await observe(client, frames.APP)


@pytest.mark.parametrize(
    "url", ["", "ftp://x/ari", "http://user:pw@x/ari", "http://x/ari?api_key=a:b", "127.0.0.1:8088"]
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(ValueError, match="the ARI url must"):
        a_client(url)
