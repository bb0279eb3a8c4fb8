"""A stand-in for Asterisk's web server: real HTTP and a real websocket, answers as told.

Contract: `async with FakeAsterisk() as peer`; each event socket that is opened appears in
`peer.sockets`; `peer.requests` keeps what was asked. `peer.statuses["/path"]` sets an answer.
"""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

USER, PASSWORD = "sharedline", "s3cret-w0rd"
AUTHORIZATION = aiohttp.encode_basic_auth(USER, PASSWORD)
HANG = -1  # as a status: don't answer
CUT = -2  # as a status: close the connection instead of answering


@dataclass(frozen=True)
class Asked:
    """One request that came in."""

    method: str
    url: str
    body: bytes
    peer_port: int


class FakeAsterisk:
    """Listens on 127.0.0.1; `port` 0 takes a free one."""

    def __init__(self, port: int = 0, *, answers_pings: bool = True) -> None:
        self.port = port
        self._answers_pings = answers_pings
        self.requests: list[Asked] = []
        self.statuses: dict[str, int] = {}
        self.sockets: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()
        self._open: list[web.WebSocketResponse] = []
        self._stopping = asyncio.Event()
        app = web.Application()
        app.router.add_get("/ari/events", self._events)
        app.router.add_route("*", "/ari/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ari"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for socket in self._open:
            await socket.close()
        await self._runner.cleanup()

    async def _status(self, request: web.Request) -> int:
        assert request.transport is not None
        port = request.transport.get_extra_info("peername")[1]
        body = await request.read()
        self.requests.append(Asked(request.method, str(request.rel_url), body, port))
        if request.headers.get("Authorization") != AUTHORIZATION:
            return 401
        return self.statuses.get(request.path.removeprefix("/ari"), 204)

    async def _answer(self, request: web.Request) -> web.Response:
        status = await self._status(request)
        if status == HANG:
            await self._stopping.wait()
        if status == CUT:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=max(status, 200))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        status = await self._status(request)
        if status != 204:
            return web.Response(status=status)
        socket = web.WebSocketResponse(autoping=self._answers_pings)
        await socket.prepare(request)
        self._open.append(socket)
        self.sockets.put_nowait(socket)
        async for _ in socket:
            pass
        return socket
