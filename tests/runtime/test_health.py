"""The server on a free port, asked over real HTTP; the pulse it tells of is the test's."""

import asyncio
import contextlib
from contextlib import asynccontextmanager

import aiohttp
import pytest
from structlog.testing import capture_logs

from ari_app.runtime.health import Health
from ari_app.runtime.metrics import CONTENT_TYPE, Metrics
from ari_app.runtime.watchdog import LATE_S, Pulse
from ari_app.settings import SettingsError, load_settings
from ari_app.store.engine import StoreError


class Site:
    """What runs, and where."""

    def __init__(self, bind="127.0.0.1:0"):
        self.now = 100.0
        self.pulse = Pulse(lambda: self.now)
        self.inbox = []
        self.metrics = Metrics()
        self.server = Health(bind, self.pulse, self.page, CONTENT_TYPE, self.inbox)
        self.url = ""

    def page(self):
        return self.metrics.page()

    async def get(self, path):
        async with aiohttp.ClientSession() as http, http.get(self.url + path) as reply:
            return reply.status, await reply.read(), reply.content_type

    async def health(self):
        async with aiohttp.ClientSession() as http, http.get(self.url + "/health") as reply:
            return reply.status, await reply.json()


@asynccontextmanager
async def serving(site):
    with capture_logs() as logs:
        task = asyncio.create_task(site.server.run())
        try:
            async with asyncio.timeout(5):
                while not logs:
                    await asyncio.sleep(0.01)
            site.url = logs[0]["url"].removesuffix("/health")
            yield site
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait_for(task, 5)


@pytest.fixture
async def site():
    async with serving(Site()) as site:
        yield site


async def test_at_a_start_nothing_is_well_yet(site):
    status, found = await site.health()
    assert (status, found["ok"]) == (503, False)
    assert found["problems"] == [
        "not connected to Asterisk",
        "has not looked at Asterisk yet: decides nothing",
    ]
    assert found["last_turn_s_ago"] is None


async def test_all_is_well(site):
    site.pulse.connection(up=True)
    site.pulse.passed()
    site.inbox.append("an event")
    site.now += 3
    assert await site.health() == (
        200,
        {
            "ok": True,
            "problems": [],
            "up_s": 3,
            "asterisk": {"connected": True, "since_s": 3},
            "database": {"ok": True, "commit_failed_s_ago": None},
            "last_turn_s_ago": 3,
            "inbox": 1,
        },
    )


async def test_each_problem_is_said_and_is_over_when_it_is_over(site):
    site.pulse.connection(up=True)
    site.pulse.passed()
    site.pulse.connection(up=False)
    assert (await site.health())[1]["problems"] == ["not connected to Asterisk"]
    site.pulse.connection(up=True)
    site.pulse.tried(5.0, StoreError("disk full"))
    status, found = await site.health()
    assert status == 503
    assert found["database"] == {"ok": False, "commit_failed_s_ago": 0}
    site.pulse.tried(0.01, None)
    site.now += LATE_S
    status, found = await site.health()
    assert found["problems"] == [f"no turn was made for {LATE_S:g} s"]
    assert found["database"] == {"ok": True, "commit_failed_s_ago": LATE_S}
    site.pulse.passed()
    assert (await site.health())[0] == 200


async def test_metrics_are_text_for_prometheus(site):
    status, body, kind = await site.get("/metrics")
    assert (status, kind) == (200, "text/plain")
    assert b'sharedline_calls_total{outcome="answered"} 0.0' in body


async def test_there_is_nothing_else(site):
    assert (await site.get("/"))[0] == 404
    async with aiohttp.ClientSession() as http, http.post(site.url + "/health") as reply:
        assert reply.status == 405


async def test_a_port_that_is_taken_is_one_line_that_names_the_setting(site):
    taken = site.url.removeprefix("http://")
    with capture_logs() as logs:
        await asyncio.wait_for(Site(taken).server.run(), 5)
    (line,) = logs
    assert line["log_level"] == "warning"
    assert "SHAREDLINE_HEALTH_BIND" in line["event"]
    assert (line["bind"], line["why"]) == (taken, "Address already in use")
    assert (await site.get("/metrics"))[0] == 200


async def test_ipv6():
    async with serving(Site("[::1]:0")) as site:
        assert site.url.startswith("http://[::1]:")
        assert (await site.get("/metrics"))[0] == 200


async def test_broken_scrapes_hurt_nobody(site):
    host, port = site.url.removeprefix("http://").split(":")
    for said in (
        b"\0\xff\n\n",
        b"GET /metrics HTTP/1.1\r\n",
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"",
    ):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        writer.transport.abort()
    assert (await site.get("/metrics"))[0] == 200


async def test_a_page_that_fails_is_a_500_and_the_next_is_well(site):
    pages = iter([b"well"])
    site.server._page = lambda: next(pages)
    assert (await site.get("/metrics"))[:2] == (200, b"well")
    assert (await site.get("/metrics"))[0] == 500
    assert (await site.get("/health"))[0] == 503


async def test_it_stops_at_once_though_a_client_keeps_its_connection():
    site = Site()
    async with aiohttp.ClientSession() as http:
        async with serving(site):
            await (await http.get(site.url + "/metrics")).read()
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 1


@pytest.mark.parametrize("bind", ["", "127.0.0.1:0", "127.0.0.2:65535", "[::1]:9180"])
def test_where_it_may_be(bind, monkeypatch):
    monkeypatch.setenv("SHAREDLINE_ENV_FILE", "/nowhere")
    monkeypatch.setenv("SHAREDLINE_HEALTH_BIND", bind)
    assert load_settings().health_bind == bind


@pytest.mark.parametrize(
    "bind", ["0.0.0.0:9180", "192.0.2.1:1", "9180", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:-1"]
)
def test_where_it_may_not_be(bind, monkeypatch):
    monkeypatch.setenv("SHAREDLINE_ENV_FILE", "/nowhere")
    monkeypatch.setenv("SHAREDLINE_HEALTH_BIND", bind)
    with pytest.raises(SettingsError, match=r"^SHAREDLINE_HEALTH_BIND: .*127\.0\.0\.1:PORT"):
        load_settings()
