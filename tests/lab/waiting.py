"""Wait for something to become true, with a deadline and a sentence that says what was missed.

Contract: `await until(lambda: phone.ringing, 3, "ann rings")` returns as soon as the condition
holds and raises `Missed` at the deadline. Nothing in the lab sleeps a fixed time.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

TICK_S = 0.002
Item = TypeVar("Item")


class Missed(AssertionError):
    """What a test waited for did not happen in time."""


async def until(condition: Callable[[], object], within_s: float, what: str) -> None:
    try:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(TICK_S)
    except TimeoutError:
        raise Missed(f"not within {within_s:g} s: {what}") from None


async def queued(queue: asyncio.Queue[Item], within_s: float, what: str) -> Item:
    """The queue's next item, waiting for it."""
    try:
        async with asyncio.timeout(within_s):
            return await queue.get()
    except TimeoutError:
        raise Missed(f"not within {within_s:g} s: {what}") from None
