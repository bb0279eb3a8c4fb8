"""The controller under test: one database in a folder, and one `sharedline serve` on it.

Contract: `Controller(asterisk, folder)` makes the database; `start`, `stop` (SIGTERM) and `kill9`
act on that one process, by its pid. Each start has its own log file; `says` waits for a line in it.
"""

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from ari_app.store import engine as database
from tests.lab.asterisk import AsteriskInstance
from tests.lab.root import CHECKOUT
from tests.lab.waiting import Missed

TICK_S = 0.02
START_DEADLINE_S = 10
STOP_DEADLINE_S = 5
SHAREDLINE = Path(sys.executable).with_name("sharedline")


class Controller:
    """A controller process and its database."""

    def __init__(self, asterisk: AsteriskInstance, folder: Path, **settings: str) -> None:
        """`settings`: as in `ari_password="wrong"`, over those that fit the instance."""
        self.asterisk, self.folder = asterisk, folder
        url = f"sqlite:///{folder}/sharedline.db"
        self.engine = database.open_engine(url)
        database.upgrade(self.engine)
        self.settings = {
            "database_url": url,
            "ari_url": asterisk.ari_url,
            "ari_user": asterisk.ari_user,
            "ari_password": asterisk.ari_password,
            "app": asterisk.app,
            "region": "DE",
            "log_format": "json",
            "health_bind": "",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    @property
    def pid(self) -> int | None:
        """None when it doesn't run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def launch(self) -> None:
        """Start the process, and wait for nothing."""
        assert self.pid is None, "this controller runs already"
        self._starts += 1
        kept = {key: value for key, value in os.environ.items() if key[:11] != "SHAREDLINE_"}
        ours = {f"SHAREDLINE_{key.upper()}": value for key, value in self.settings.items()}
        nowhere = {"SHAREDLINE_ENV_FILE": str(self.folder / "no.env")}
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [str(SHAREDLINE), "serve"],
                cwd=CHECKOUT,
                env={**kept, **nowhere, **ours},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def start(self) -> Self:
        """Return when it decides about calls."""
        self.launch()
        await self.says("deciding", START_DEADLINE_S)
        return self

    async def stop(self) -> int:
        """SIGTERM; its exit code, which must come in time."""
        self._signal(signal.SIGTERM)
        return await self.exits(STOP_DEADLINE_S)

    async def kill9(self) -> None:
        self._signal(signal.SIGKILL)
        await self.exits(STOP_DEADLINE_S)

    async def exits(self, within_s: float) -> int:
        process = self._process
        assert process is not None
        await comes_true(lambda: process.poll() is not None, within_s, "the controller ends")
        return int(process.returncode)

    async def says(self, event: str, within_s: float) -> dict[str, Any]:
        """The first line of this start's log with that event."""

        def ended_or_said() -> bool:
            return self.pid is None or bool(self._lines(event))

        await comes_true(ended_or_said, within_s, f"the controller says {event!r}")
        lines = self._lines(event)
        assert lines, f"the controller ended without {event!r}: {self.output()[-2000:]}"
        return lines[0]

    def output(self) -> str:
        """All that this start printed."""
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    async def close(self) -> None:
        if self.pid is not None:
            try:
                await self.stop()
            finally:
                if self.pid is not None:
                    await self.kill9()
        self.engine.dispose()
        logs = [log.read_text(errors="replace") for log in self.folder.glob("controller-*.log")]
        if self.asterisk.pid is not None and any("asterisk connected" in log for log in logs):
            await self._unsubscribe()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # -- inside

    async def _unsubscribe(self) -> None:
        """The app's watch on phones outlives it: the next test's app would get those events.

        On 22.10.1 GET /applications/APP is 404 then, and once it connects again lists them still.
        Connecting would replace another controller of that app: only for one that had connected.
        """
        asterisk = self.asterisk
        login = aiohttp.encode_basic_auth(asterisk.ari_user, asterisk.ari_password)
        app = f"/applications/{asterisk.app}"
        url = f"{asterisk.ari_url}/events?app={asterisk.app}"
        async with (
            aiohttp.ClientSession(headers={"Authorization": login}) as http,
            http.ws_connect(url),
        ):
            for device in (await ask(asterisk, "GET", app))["device_names"]:
                source = f"deviceState:{device}"
                await ask(asterisk, "DELETE", f"{app}/subscription", eventSource=source)

    @property
    def _log_file(self) -> Path:
        return self.folder / f"controller-{self._starts}.log"

    def _lines(self, event: str) -> list[dict[str, Any]]:
        lines = (line for line in self.output().splitlines() if line.startswith("{"))
        complete = (json.loads(line) for line in lines if line.endswith("}"))
        return [line for line in complete if line.get("event") == event]

    def _signal(self, number: signal.Signals) -> None:
        assert self.pid is not None, f"the controller is gone: {self.output()[-2000:]}"
        os.kill(self.pid, number)


async def comes_true(condition: Callable[[], object], within_s: float, what: str) -> None:
    """Ask every 20 ms until the answer is true; `condition` may be a coroutine function."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                answer = condition()
                if await answer if inspect.isawaitable(answer) else answer:
                    return
                await asyncio.sleep(TICK_S)
    except TimeoutError:
        raise Missed(f"not within {within_s:g} s: {what}") from None


async def ask(asterisk: AsteriskInstance, method: str, path: str, **query: str) -> Any:
    """An ARI request of the test's own."""
    return await asyncio.to_thread(asterisk.ari, method, path, **query)
