"""A TCP proxy between the controller and Asterisk's HTTP, which a test cuts or stalls at will.

Contract: `async with Proxy(port) as proxy:` listens on 127.0.0.1 at `proxy.port`. `cut()` aborts
connections, `shut()` also refuses new ones until `open()`; `stall()` lets nothing pass until
`flow()`. With `events_only` that is about websockets alone, and requests pass.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CHUNK = 1 << 16
EVENTS_PATH = b"/ari/events"


@dataclass(eq=False)
class _Pair:
    """One connection: from the controller, and on to Asterisk."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    is_events: bool = False

    def abort(self) -> None:
        self.near.transport.abort()
        if self.far is not None:
            self.far.transport.abort()


class Proxy:
    """Every connection that the controller has."""

    def __init__(self, asterisk_port: int) -> None:
        self._to = asterisk_port
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._shut: frozenset[bool] = frozenset()  # of which `is_events` none may connect
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ari"

    def cut(self, *, events_only: bool = False) -> None:
        for pair in list(self._pairs):
            if pair.is_events or not events_only:
                pair.abort()

    def shut(self, *, events_only: bool = False) -> None:
        self._shut = frozenset({True} if events_only else {True, False})
        self.cut(events_only=events_only)

    def open(self) -> None:
        self._shut = frozenset()

    def stall(self) -> None:
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    # -- inside

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(writer)
        self._pairs.add(pair)
        try:
            with contextlib.suppress(OSError):
                await self._connect(pair, reader)
        finally:
            self._pairs.discard(pair)
            pair.abort()

    async def _connect(self, pair: _Pair, near: asyncio.StreamReader) -> None:
        far, pair.far = await asyncio.open_connection("127.0.0.1", self._to)
        ways = (self._ask(pair, near), self._answer(pair, far))
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        assert pair.far is not None
        while chunk := await reader.read(CHUNK):
            await self._flowing.wait()
            if EVENTS_PATH in chunk[:200]:  # on a connection that carried requests before, too
                pair.is_events = True
            if pair.is_events in self._shut:
                return
            pair.far.write(chunk)
            await pair.far.drain()

    async def _answer(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(CHUNK):
            await self._flowing.wait()
            pair.near.write(chunk)
            await pair.near.drain()
