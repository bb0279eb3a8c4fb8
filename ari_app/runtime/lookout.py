"""Looks at what Asterisk holds of ours: after each connect, and now and then.

What it sees goes into the inbox as `Observed`. The first look also settles what the controller
before us left unanswered. One look at a time, and only while connected.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable

import structlog

from ari_app.ari import wire
from ari_app.ari.client import AriClient
from ari_app.ari.observe import ObserveFailed, observe
from ari_app.ari.translate import Translator
from ari_app.core.reconcile import Seen
from ari_app.runtime import recover
from ari_app.runtime.clock import Clock
from ari_app.runtime.happenings import Happening, Observed
from ari_app.runtime.mind import Mind
from ari_app.store.store import Sent

LOOK_AROUND_S = 60
AGAIN_S = 0.5
MAX_LEFT = 10_000  # who may leave while we look

log = structlog.get_logger()


class Lookout:
    """`has_looked` is set once the first look is in the inbox: before that nothing is decided."""

    def __init__(
        self,
        *,
        client: AriClient,
        translator: Translator,
        mind: Mind,
        unanswered: tuple[Sent, ...],
        put: Callable[[Happening], None],
        send: Callable[[Iterable[Sent]], None],
        clock: Clock,
        next_call: Callable[[], int],
    ) -> None:
        """`next_call` tells the id of the next caller, without giving it away."""
        self._next_call = next_call
        self._client = client
        self._translator = translator
        self._mind = mind
        self._unanswered = unanswered
        self._put = put
        self._send = send
        self._clock = clock
        self._left: deque[tuple[int, str]] = deque(maxlen=MAX_LEFT)
        self._is_connected = False
        self._wanted = asyncio.Event()
        self.has_looked = asyncio.Event()

    def connected(self) -> None:
        """Asterisk is there, and events were lost: look at once."""
        self._is_connected = True
        self._wanted.set()

    def disconnected(self) -> None:
        """There is nothing to look at."""
        self._is_connected = False
        self._wanted.clear()

    def saw(self, event: wire.WireEvent) -> None:
        """Remember who left while we look: they may be in what we see, and are not there."""
        if isinstance(event, wire.StasisEnd | wire.ChannelDestroyed):
            self._left.append((self._clock(), event.channel.id))

    async def run(self) -> None:
        """Until cancelled."""
        in_trouble = False
        while True:
            await self._until_wanted()
            if not self._is_connected:
                continue
            try:
                await self._look()
                in_trouble = False
            except ObserveFailed as error:
                if not in_trouble:
                    log.warning("can't look at Asterisk now, trying on", error=str(error))
                in_trouble = True
                await asyncio.sleep(AGAIN_S)
                self._wanted.set()

    async def _until_wanted(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AROUND_S):
                await self._wanted.wait()
        self._wanted.clear()

    async def _look(self) -> None:
        since_at, on_their_way = self._clock(), self._mind.rings_on_their_way()
        sight, young_from = self._mind.sight, self._next_call()
        found = await observe(self._client, self._client.app)
        at = self._clock()
        left = {channel for left_at, channel in self._left if left_at >= since_at}
        recover.forget_gone(self._translator.callers, found, young_from)
        for arrived in recover.adopt(found, self._translator, self._client.app, at, left):
            self._put(arrived)
        seen = recover.seen_from(found, since_at, at, on_their_way)
        self._put(Observed(seen, sight))
        if not self.has_looked.is_set():
            self._settle(seen)

    def _settle(self, seen: Seen) -> None:
        left = {channel for _, channel in self._left}
        rest = recover.unfinished(self._unanswered, self._mind.live.calls, seen, seen.at, left)
        self._send(rest.again)
        for answer in rest.answers:
            self._put(answer)
        self.has_looked.set()
