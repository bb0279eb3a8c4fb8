"""systemd's end is a real datagram socket; the controller that gets stuck is a real one."""

import asyncio
import os
import socket
import threading
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from ari_app.runtime.watchdog import LATE_S, Pulse, Supervisor
from ari_app.store import engine as database
from ari_app.store.engine import StoreError
from tests.runtime.test_controller import Office, arrives, engine  # noqa: F401 - a fixture

QUICK = {"WATCHDOG_USEC": "30000"}  # a beat each 10 ms


@contextmanager
def systemd(address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(5)
        yield listener


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a unix socket must be short
    return "notify"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_each_word_is_one_datagram(address):
    with systemd(address) as listener:
        Supervisor({"NOTIFY_SOCKET": address}).say("READY=1", "STATUS=deciding")
        assert listener.recv(1000) == b"READY=1\nSTATUS=deciding"


def test_an_abstract_socket():
    name = f"sharedline-test-{os.getpid()}"
    with systemd(f"\0{name}") as listener:
        Supervisor({"NOTIFY_SOCKET": f"@{name}"}).say("STOPPING=1")
        assert listener.recv(1000) == b"STOPPING=1"


def test_nobody_asked_to_be_told():
    with capture_logs() as logs:
        Supervisor({}).say("READY=1")
    assert logs == []


def test_a_supervisor_that_is_gone_or_does_not_read_stops_nothing(address):
    with capture_logs() as logs:
        Supervisor({"NOTIFY_SOCKET": address}).say("READY=1")
        with systemd(address):
            for _ in range(2000):  # until its queue is full, and more
                Supervisor({"NOTIFY_SOCKET": address}).say("WATCHDOG=1")
    assert {line["log_level"] for line in logs} == {"warning"}
    assert "NOTIFY_SOCKET" in logs[0]["event"]


async def test_beats_while_alive(address):
    with systemd(address) as listener:
        watch = asyncio.create_task(
            Supervisor({"NOTIFY_SOCKET": address} | QUICK).watch(lambda: True)
        )
        for _ in range(3):
            assert await asyncio.to_thread(listener.recv, 100) == b"WATCHDOG=1"
        watch.cancel()


async def test_no_beat_and_one_line_when_no_longer_alive(address):
    states = [True, False, False, False]
    asked = asyncio.Event()

    def alive():
        if len(states) == 1:
            asked.set()
        return states.pop(0) if len(states) > 1 else states[0]

    with systemd(address) as listener, capture_logs() as logs:
        watch = asyncio.create_task(Supervisor({"NOTIFY_SOCKET": address} | QUICK).watch(alive))
        await asyncio.wait_for(asked.wait(), 5)
        watch.cancel()
        assert listener.recv(100) == b"WATCHDOG=1"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.recv(100)
    assert [line["log_level"] for line in logs] == ["error"]


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "nonsense"}, {"WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"}],
)
async def test_no_watchdog_no_beat(environ):
    await asyncio.wait_for(Supervisor(environ).watch(lambda: True), 5)


def test_a_pulse_begins_with_the_first_pass_and_goes_stale():
    clock = Clock()
    pulse = Pulse(clock)
    assert not pulse.deciding()
    pulse.passed()
    clock.now += LATE_S - 0.1
    assert pulse.deciding()
    clock.now += 0.1
    assert not pulse.deciding()


def test_the_last_commit_says_whether_the_database_is_away():
    clock = Clock()
    pulse = Pulse(clock)
    pulse.tried(5.0, StoreError("locked"))
    clock.now += 3
    assert (pulse.database_away, pulse.ago_s(pulse.commit_failed_at)) == (True, 3)
    pulse.tried(0.001, None)
    assert not pulse.database_away


class Watched(Office):
    """An office whose controller shows a pulse, on a clock of the test's."""

    def __init__(self, engine, tasks):  # noqa: F811 - the fixture of that name
        super().__init__(engine, tasks)
        self.time = Clock()
        self.pulse = Pulse(self.time)
        self.controller._observers = (self.pulse,)

    async def shows_life(self):
        """Something happens in the controller from now on."""
        self.time.now += LATE_S + 1
        async with asyncio.timeout(5):
            while not self.pulse.deciding():
                await asyncio.sleep(0.01)


async def test_the_loop_goes_round_when_nothing_happens(engine):  # noqa: F811
    async with asyncio.TaskGroup() as tasks:
        office = Watched(engine, tasks)
        running = tasks.create_task(office.controller.run())
        await office.shows_life()
        await office.shows_life()
        await office.close(running)


async def test_a_locked_database_is_no_reason_to_be_killed(engine):  # noqa: F811
    async with asyncio.TaskGroup() as tasks:
        office = Watched(engine, tasks)
        running = tasks.create_task(office.controller.run())
        with database.writing(engine):
            office.inbox.put(arrives(1))
            await office.a_commit_was_tried()
            await office.shows_life()
            await office.shows_life()
            assert office.pulse.database_away
        await office.told("POST /channels/c1/ring")
        assert not office.pulse.database_away
        await office.close(running)


async def falls_silent(office):
    """The turns before the stuck one may show life; then the loop does not go round any more."""
    for _ in range(3):
        try:
            async with asyncio.timeout(1.5):
                await office.shows_life()
        except TimeoutError:
            return True
    return False


async def test_a_commit_that_never_ends_shows_no_life(engine):  # noqa: F811
    async with asyncio.TaskGroup() as tasks:
        office = Watched(engine, tasks)
        running = tasks.create_task(office.controller.run())
        disk_hangs = threading.Event()
        stuck = tasks.create_task(office.worker.run(disk_hangs.wait))
        office.inbox.put(arrives(1))
        while office.pulse.passed_at is None or len(office.inbox):
            await asyncio.sleep(0.01)  # the turn is made now, and its commit waits
        try:
            assert await falls_silent(office)
        finally:
            disk_hangs.set()
        await stuck
        await office.shows_life()
        await office.close(running)
