"""Everything that happens, in the order it was seen; bounded, since a full inbox means trouble.

Whoever puts stamps the time into the happening. Events that are lost because the inbox is full are
not lost calls: the controller stops, starts again, and observes.
"""

import asyncio
from collections import deque

from ari_app.runtime.clock import Clock
from ari_app.runtime.happenings import Happening


class InboxFullError(Exception):
    """The controller can't keep up; one line that names the setting."""


class Inbox:
    """One consumer, many producers, all in one event loop."""

    def __init__(self, clock: Clock, limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._waiting: deque[Happening] = deque()
        self._filled = asyncio.Event()
        self._closed = False

    def put(self, happening: Happening) -> None:
        """Enqueue; never waits. Raises InboxFullError."""
        if len(self._waiting) >= self._limit:
            raise InboxFullError(
                f"{self._limit} events wait to be handled (SHAREDLINE_INBOX_LIMIT): starting anew"
            )
        self._waiting.append(happening)
        self._filled.set()

    def close(self) -> None:
        """Let `drain` return what is left, then nothing."""
        self._closed = True
        self._filled.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def take_now(self) -> list[Happening]:
        """All that waits, without waiting for more."""
        taken = list(self._waiting)
        self._waiting.clear()
        if not self._closed:
            self._filled.clear()
        return taken

    async def drain(self, until_at: int | None) -> list[Happening] | None:
        """All that waits, as soon as anything does; [] at `until_at`; None when it is all over."""
        if not self._waiting and not self._closed:
            timeout_s = None if until_at is None else max(0, until_at - self._clock()) / 1_000_000
            try:
                async with asyncio.timeout(timeout_s):
                    await self._filled.wait()
            except TimeoutError:
                return []
        if self._closed and not self._waiting:
            return None
        return self.take_now()
