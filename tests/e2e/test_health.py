"""What supervisors see of a real controller on a real Asterisk: health, metrics, signs of life."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.service import SHAREDLINE, Controller, comes_true
from tests.e2e.team import Team
from tests.lab.asterisk import AsteriskInstance
from tests.lab.phones import Lab, default_phones, rings_forever
from tests.lab.root import Root

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
async def own(root: Root) -> AsyncIterator[AsteriskInstance]:
    """An Asterisk that may be stopped."""
    with AsteriskInstance(root, phones=default_phones(2)) as instance:
        yield instance


async def start(controller: Controller) -> str:
    """Where it can be asked, once it decides."""
    controller.settings["health_bind"] = "127.0.0.1:0"
    await controller.start()
    url: str = (await controller.says("health and metrics", 3))["url"]
    return url


async def status(url: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(url) as reply:
        return reply.status


async def metrics(url: str) -> dict[str, float]:
    """Samples by `name` and `name{label=value}`."""
    address = url.replace("/health", "/metrics")
    async with aiohttp.ClientSession() as http, http.get(address) as reply:
        text = await reply.text()
    return {
        sample.name + "".join(f"{{{key}={value}}}" for key, value in sample.labels.items()): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def a_plain_call(team: Team, number: str) -> None:
    ann = await team.phone("ann", rings_forever)
    caller = await team.caller(number)
    (await ann.rings()).answer()
    await team.talks(number, "ann")
    await caller.hang_up()
    await team.nothing_left()
    await ann.unregisters()


async def test_one_call_is_counted_and_asterisk_s_absence_is_seen(
    own: AsteriskInstance, tmp_path: Path
) -> None:
    async with Controller(own, tmp_path) as controller:
        url = await start(controller)
        async with Lab(own) as lab:
            team = Team(controller, lab)
            number = await team.number(["ann"])
            await a_plain_call(team, number)
        found = await metrics(url)
        assert found["sharedline_calls_total{outcome=answered}"] == 1
        assert found["sharedline_offers_total{outcome=answered}"] == 1
        assert found[f"sharedline_line_length{{number={number}}}"] == 0
        assert found["sharedline_ari_requests_total{operation=POST /channels}{outcome=done}"] == 1
        assert found["sharedline_reconnects_total"] == 0
        assert await status(url) == 200
        await asyncio.to_thread(own.kill9)
        await comes_true(lambda: is_(url, 503), 5, "the absence is seen")
        await asyncio.to_thread(own.start)
        await comes_true(lambda: is_(url, 200), 15, "all is well again")
        assert (await metrics(url))["sharedline_reconnects_total"] == 1


async def is_(url: str, expected: int) -> bool:
    return await status(url) == expected


async def test_a_port_that_is_taken_stops_nothing(own: AsteriskInstance, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with Controller(own, tmp_path) as controller, Lab(own) as lab:
            controller.settings["health_bind"] = f"127.0.0.1:{taken.getsockname()[1]}"
            await controller.start()
            line = await controller.says("no health or metrics: SHAREDLINE_HEALTH_BIND", 3)
            assert line["why"] == "Address already in use"
            team = Team(controller, lab)
            await a_plain_call(team, await team.number(["ann"]))
            assert await controller.stop() == 0


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """systemd's end of sd_notify; a controller that is started now is told of it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        yield listener


def waiting(listener: socket.socket) -> list[bytes]:
    """All that was said and not read yet."""
    found = []
    listener.setblocking(False)
    try:
        while True:
            found.append(listener.recv(1000))
    except BlockingIOError:
        return found
    finally:
        listener.settimeout(5)


async def test_systemd_hears_when_it_is_ready_alive_and_stopping(
    own: AsteriskInstance, tmp_path: Path, systemd: socket.socket
) -> None:
    async with Controller(own, tmp_path) as controller:
        await start(controller)
        hear = lambda: asyncio.to_thread(systemd.recv, 1000)  # noqa: E731
        assert await hear() == b"STATUS=waiting for Asterisk"
        assert await hear() == b"READY=1\nSTATUS=deciding"
        assert await hear() == b"WATCHDOG=1"
        assert controller.pid is not None
        os.kill(controller.pid, signal.SIGSTOP)  # as an event loop that hangs
        await asyncio.sleep(0.1)
        waiting(systemd)
        await asyncio.sleep(0.5)
        assert waiting(systemd) == []
        os.kill(controller.pid, signal.SIGCONT)
        assert await hear() == b"WATCHDOG=1"
        assert await controller.stop() == 0
        assert waiting(systemd)[-1] == b"STOPPING=1\nSTATUS=stopping"


def watching(controller: Controller, said: Path) -> subprocess.Popen[bytes]:
    settings = {f"SHAREDLINE_{key.upper()}": value for key, value in controller.settings.items()}
    command = [str(SHAREDLINE), "doctor", "--watch", "--every", "1"]
    with said.open("wb") as out:
        return subprocess.Popen(command, env={**os.environ, **settings}, stdout=out)


async def test_doctor_watches_and_says_what_changed(own: AsteriskInstance, tmp_path: Path) -> None:
    """The controller starts: two lines changed, and no other line is said again."""
    said = tmp_path / "doctor"
    async with Controller(own, tmp_path) as controller:
        doctor = watching(controller, said)
        try:
            await comes_true(lambda: "is not registered" in said.read_text(), 10, "a first look")
            first = said.read_text()
            assert "controller: is not running" in first
            assert "modules: all" in first
            await controller.start()
            await comes_true(lambda: "is registered" in said.read_text(), 10, "it is connected")
            changed = said.read_text().removeprefix(first).splitlines()
            assert sorted(line.split(maxsplit=2)[2] for line in changed) == [
                f"ok      app {own.app}: is registered",
                "ok      controller: is running",
            ]
        finally:
            doctor.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(doctor.wait, 5) == 1
