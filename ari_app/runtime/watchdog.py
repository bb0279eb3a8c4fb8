"""Signs of life: what the controller was last seen doing, and systemd being told of it.

Contract: `Pulse` is told by the controller and the client, and only remembers. `Supervisor` speaks
sd_notify, one datagram to $NOTIFY_SOCKET; without that variable it says nothing. It never waits and
never raises: a supervisor that does not listen must not stop calls.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from ari_app.runtime.controller import Observer
from ari_app.store.engine import StoreError

LATE_S = 10.0  # a turn takes milliseconds; a try on a locked database 5 s
_BEATS = 3  # as many chances to be seen alive within WatchdogSec

log = structlog.get_logger()


@dataclass(slots=True)
class Pulse(Observer):
    """Instants in seconds of the monotonic clock; None for never."""

    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)
    passed_at: float | None = None
    connected: bool = False
    connection_changed: float = field(init=False)
    commit_failed_at: float | None = None
    database_away: bool = False

    def __post_init__(self) -> None:
        self.started = self.connection_changed = self.clock()

    def passed(self) -> None:
        """The controller's loop went round."""
        self.passed_at = self.clock()

    def decided(self, happenings: int, seconds: float) -> None:  # noqa: ARG002 - the observer's
        """A turn was made; while the database is away this is all the loop does."""
        self.passed_at = self.clock()

    def tried(self, seconds: float, error: StoreError | None) -> None:  # noqa: ARG002
        """A commit succeeded or failed."""
        self.database_away = error is not None
        if error is not None:
            self.commit_failed_at = self.clock()

    def connection(self, *, up: bool) -> None:
        """Asterisk is there, or no longer."""
        self.connected, self.connection_changed = up, self.clock()

    def ago_s(self, at: float | None) -> float | None:
        """Seconds since then."""
        return None if at is None else round(self.clock() - at, 3)

    def deciding(self) -> bool:
        """Are turns being made? Not before the controller has looked at Asterisk."""
        ago_s = self.ago_s(self.passed_at)
        return ago_s is not None and ago_s < LATE_S


class Supervisor:
    """systemd, or whatever else set NOTIFY_SOCKET."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environ.get("WATCHDOG_USEC", "")
        self._every_s = int(usec) / 1e6 / _BEATS if watched and usec.isdecimal() else 0.0

    def say(self, *lines: str) -> None:
        """As in `say("READY=1", "STATUS=deciding")`."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("the supervisor (NOTIFY_SOCKET) does not listen", error=str(error))

    async def watch(self, alive: Callable[[], bool]) -> None:
        """Until cancelled: beat while alive. When the event loop hangs nothing beats either."""
        was_alive = False
        while self._every_s:
            if is_alive := alive():
                self.say("WATCHDOG=1")
            elif was_alive:  # at a start there is nothing to see yet, and nothing wrong
                log.error("no turn is being made: no sign of life for the watchdog")
            was_alive = is_alive
            await asyncio.sleep(self._every_s)
