"""The clock, and the deadlines to wake up for."""

import heapq
import time
from collections.abc import Callable

Clock = Callable[[], int]


def system_clock() -> int:
    """Now, in microseconds UTC."""
    return time.time_ns() // 1000


class Deadlines:
    """When to wake for which subject; a subject has one deadline or none."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, int], int] = {}
        self._heap: list[tuple[int, tuple[str, int]]] = []

    def put(self, subject: tuple[str, int], at: int | None) -> None:
        """The subject's deadline is now `at`, whatever it was."""
        if at is None:
            self._at.pop(subject, None)
        elif self._at.get(subject) != at:
            self._at[subject] = at
            heapq.heappush(self._heap, (at, subject))

    def next_at(self) -> int | None:
        """The earliest deadline."""
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # of a subject whose deadline was moved meanwhile
        return self._heap[0][0] if self._heap else None

    def due(self, at: int) -> list[tuple[str, int]]:
        """The subjects whose deadline has come, earliest first; each is forgotten by this."""
        found = []
        while (next_at := self.next_at()) is not None and next_at <= at:
            subject = heapq.heappop(self._heap)[1]
            del self._at[subject]
            found.append(subject)
        return found
