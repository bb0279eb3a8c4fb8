"""What the CLI wrote, noticed within a quarter of a second.

Settings become a `ConfigRead` in the inbox, and `follow.Follower` carries them to Asterisk.
"""

import asyncio
from collections.abc import Callable

import structlog

from ari_app.runtime.clock import Clock
from ari_app.runtime.follow import Follower, endpoints_of
from ari_app.runtime.happenings import ConfigRead
from ari_app.runtime.worker import Worker
from ari_app.store.engine import StoreError
from ari_app.store.plans import Config
from ari_app.store.store import Store

POLL_S = 0.2
AGAIN_S = 2.0  # after Asterisk did not answer, or the database was away

log = structlog.get_logger()


class SettingsWatch:
    """Watches the settings; tells the controller, and Asterisk while it is there."""

    def __init__(
        self,
        *,
        store: Store,
        worker: Worker,
        follower: Follower,
        tell: Callable[[ConfigRead], None],
        clock: Clock,
    ) -> None:
        self._store = store
        self._worker = worker
        self._follower = follower
        self._tell = tell
        self._clock = clock
        self._version: int | None = None
        self._connected = False
        self._is_behind = True
        self._in_trouble = False
        self._config = Config({}, frozenset(), ())

    def endpoints(self) -> frozenset[str]:
        """Every phone whose state we want to hear of."""
        return endpoints_of(self._config)

    def connected(self) -> None:
        """Asterisk is there, and may have forgotten everything."""
        self._follower.forget()
        self._connected = self._is_behind = True

    def disconnected(self) -> None:
        """Nothing can be told to Asterisk now."""
        self._connected = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
                self._in_trouble = False
            except StoreError as error:
                if not self._in_trouble:
                    log.warning("settings can't be read now, trying on", error=str(error))
                self._in_trouble = True
            await asyncio.sleep(AGAIN_S if self._in_trouble else POLL_S)

    async def read(self) -> None:
        """Read the settings and tell the controller. A reading that fails is tried again."""
        version = await self._worker.run(self._store.data_version)
        config, agents = await self._worker.run(lambda: self._store.read_config(self._clock()))
        for problem in config.problems:
            log.error("a setting can't be used", problem=problem)
        self._tell(ConfigRead(config, agents))
        self._config, self._version = config, version
        self._is_behind = True

    async def _look(self) -> None:
        if await self._worker.run(self._store.data_version) != self._version:
            await self.read()
        if not self._connected or not self._is_behind:
            return
        config = self._config
        if not await self._follower.follow(config):
            await asyncio.sleep(AGAIN_S)
            return
        self._is_behind = False
        if any(phone.state != "ready" for phone in config.phones):
            await self.read()  # our own writes are no news to data_version
            self._is_behind = False
