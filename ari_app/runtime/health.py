"""`GET /health` and `GET /metrics`, on a loopback address: for supervisors and Prometheus.

Contract: `Health(...).run()` serves until cancelled. A port that can't be had is one line in the
log and nothing more; no request can make the controller fail or wait. Nothing here is secret, but
nothing asks for a password either, which is why settings allow loopback addresses only.
"""

import asyncio
import os
from collections.abc import Callable, Sized
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web

from ari_app.runtime.watchdog import LATE_S, Pulse

PATIENCE_S = 0.1  # with a scrape that is under way when we stop

log = structlog.get_logger()


class Health:
    """The server; `bind` is HOST:PORT as settings checked it."""

    def __init__(
        self, bind: str, pulse: Pulse, page: Callable[[], bytes], content_type: str, inbox: Sized
    ) -> None:
        self._host, _, port = bind.rpartition(":")
        self._port = int(port)
        self._pulse = pulse
        self._page = page
        self._content_type = content_type
        self._inbox = inbox

    async def run(self) -> None:
        """Until cancelled; returns at once if the port is taken."""
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=PATIENCE_S)
        try:
            await runner.setup()
            await web.TCPSite(runner, self._host.strip("[]"), self._port).start()
            port = runner.addresses[0][1]
            log.info("health and metrics", url=f"http://{self._host}:{port}/health")
            await asyncio.Event().wait()
        except OSError as error:
            wanted = f"{self._host}:{self._port}"
            why = os.strerror(error.errno) if error.errno else str(error)
            log.warning("no health or metrics: SHAREDLINE_HEALTH_BIND", bind=wanted, why=why)
        finally:
            await runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        found = report(self._pulse, len(self._inbox))
        status = HTTPStatus.OK if found["ok"] else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response(found, status=status)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._page(), headers={"Content-Type": self._content_type})


def report(pulse: Pulse, inbox: int) -> dict[str, Any]:
    """What /health says; `problems` in words, none when all is well."""
    problems = _problems(pulse)
    return {
        "ok": not problems,
        "problems": problems,
        "up_s": pulse.ago_s(pulse.started),
        "asterisk": {
            "connected": pulse.connected,
            "since_s": pulse.ago_s(pulse.connection_changed),
        },
        "database": {
            "ok": not pulse.database_away,
            "commit_failed_s_ago": pulse.ago_s(pulse.commit_failed_at),
        },
        "last_turn_s_ago": pulse.ago_s(pulse.passed_at),
        "inbox": inbox,
    }


def _problems(pulse: Pulse) -> list[str]:
    found = []
    if not pulse.connected:
        found.append("not connected to Asterisk")
    if pulse.database_away:
        found.append("the last commit failed: the database is away")
    if pulse.passed_at is None:
        found.append("has not looked at Asterisk yet: decides nothing")
    elif not pulse.deciding():
        found.append(f"no turn was made for {LATE_S:g} s")
    return found
