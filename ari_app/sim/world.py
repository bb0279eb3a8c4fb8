"""The fake clock: what was planned happens in order of time, then of planning."""

import heapq
from collections.abc import Callable
from itertools import count

from ari_app.core.events import after

START_AT = 1_700_000_000_000_000


class World:
    """Time in microseconds UTC; it passes only by `run_until`."""

    def __init__(self) -> None:
        self.at = START_AT
        self._order = count()
        self._planned: list[tuple[int, int, Callable[[], None]]] = []

    def __call__(self) -> int:
        """Now: a world is a `runtime.clock.Clock`."""
        return self.at

    def soon(self, delay_s: float, deed: Callable[[], None]) -> None:
        """Do the deed after `delay_s` seconds."""
        self.at_instant(after(self.at, delay_s), deed)

    def at_instant(self, at: int, deed: Callable[[], None]) -> None:
        """Do the deed at `at`, or now if that has passed."""
        heapq.heappush(self._planned, (max(at, self.at), next(self._order), deed))

    def run_until(self, at: int) -> None:
        """Everything that is planned up to `at`, and what that plans."""
        while self._planned and self._planned[0][0] <= at:
            self.at, _, deed = heapq.heappop(self._planned)
            deed()
        self.at = at

    def second(self) -> float:
        """Seconds since the story began."""
        return (self.at - START_AT) / 1_000_000
