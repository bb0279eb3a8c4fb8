"""The connection to one Asterisk: HTTP requests out, one websocket of events in.

Contract: `run` reads events until it is cancelled, connecting again for ever; `send` carries out
one request. Faults of the network are answers (`Reply.status` UNKNOWN or UNSENT), not exceptions.
Credentials travel in the Authorization header only. The reader decodes and hands over, no more:
Asterisk closes the socket of an application that reads too slowly (websocket_write_timeout).
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Final, NoReturn, Self

import aiohttp
import msgspec
import structlog
import yarl

from ari_app.ari import setup, wire
from ari_app.ari.requests import UNKNOWN, UNSENT, Request

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
QUIET_S: Final = 60.0
_REFUSALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

log = structlog.get_logger(__name__)


class AriRefused(Exception):
    """Asterisk is there but does not let us in; trying again will not help. One line."""


class Replaced(Exception):
    """Another controller connected with our application's name; it owns the calls now."""


class _Broken(Exception):
    """This connection is over, or did not come about; the message says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Timeouts in seconds, and the size of the connection pool."""

    connect_s: float = 2.0
    total_s: float = 5.0
    heartbeat_s: float = 5.0  # a ping this often; the socket is dead when half of it brings no pong
    keepalive_s: float = 10.0  # below http.conf's session_keep_alive (15 s by default)
    connections: int = 32


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: HTTP status, UNKNOWN (it may have taken effect) or UNSENT (it has not)."""

    status: int
    body: bytes = b""


class AriClient:
    """One controller's connection to one Asterisk, as one Stasis application.

    Use it as `async with AriClient(...) as client`. `url` is http(s)://host:port/ari.
    """

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        app: str,
        *,
        phones: Callable[[], Iterable[str]] = tuple,
        limits: Limits = Limits(),
    ) -> None:
        """`phones` gives, at each connect, the endpoints whose registering we want to hear of."""
        self._base = _checked(url)
        self._headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
        self._user = user
        self.app = app
        self._phones = phones
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None
        self.counts = wire.Counts()
        self._unread_told = 0
        self._quiet_until = 0.0

    async def __aenter__(self) -> Self:
        limits = self._limits
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limits.connections, keepalive_timeout=limits.keepalive_s
            ),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=limits.total_s, connect=limits.connect_s),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    # -- requests

    async def send(self, request: Request) -> Reply:
        """Carry out one request. Never raises for a fault of the network or of Asterisk."""
        reply = await self._ask(request)
        if reply.status != HTTPStatus.CONFLICT or not request.lives_at:
            return reply
        # Asterisk keeps the cause of a failed originate per thread, that is per connection, and
        # never clears it: after one true 409 (the id exists) failures that should be 500
        # (unregistered, ...) are 409 too, on that connection for ever. Seen on 22.10.1.
        lives = await self._ask(Request("GET", request.lives_at))
        if lives.status == HTTPStatus.NOT_FOUND:
            return Reply(500, b"409 from an earlier request's failure; the channel does not exist")
        return reply if lives.status == HTTPStatus.OK else Reply(UNKNOWN, lives.body)

    async def _ask(self, request: Request) -> Reply:
        try:
            async with self._open.request(
                request.method,
                self._url(request.path),
                params=request.query or None,
                data=None if request.body is None else msgspec.json.encode(request.body),
                headers={"Content-Type": "application/json"} if request.body is not None else None,
                allow_redirects=False,
            ) as response:
                return Reply(response.status, await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as fault:
            return Reply(UNSENT, _line(fault).encode())
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            return Reply(UNKNOWN, _line(fault).encode())

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use AriClient in `async with`")
        return self._session

    def _url(self, path: str) -> yarl.URL:
        return yarl.URL(self._base + path, encoded=True)

    # -- events

    async def run(
        self,
        on_event: Callable[[wire.WireEvent], None],
        on_up: Callable[[], None],
        on_down: Callable[[], None],
    ) -> NoReturn:
        """Hand events to `on_event`, in order, until cancelled. All three must return at once.

        `on_up` comes after each connect, once subscriptions and filter are set and before the
        first event; what happened while we were away is lost, so observe then. `on_down` comes
        once for each `on_up`. Raises AriRefused (before the first `on_up` only) and Replaced.
        """
        trouble = _Trouble(self._base)
        while True:
            try:
                socket = await self._connect(first=trouble.never_up)
                trouble.over()
                on_up()
                await self._read(socket, on_event)
            except _Broken as broken:
                if trouble.begins(str(broken)):
                    on_down()
            await asyncio.sleep(trouble.pause_s())

    async def _connect(self, *, first: bool) -> aiohttp.ClientWebSocketResponse:
        socket = await self._handshake(first=first)
        try:
            await self._set_up(first=first)
        except BaseException:
            await socket.close()
            raise
        return socket

    async def _handshake(self, *, first: bool) -> aiohttp.ClientWebSocketResponse:
        limits = self._limits
        try:
            async with asyncio.timeout(limits.total_s):
                return await self._open.ws_connect(
                    self._url("/events"),
                    params={"app": self.app, "subscribeAll": "false"},
                    heartbeat=limits.heartbeat_s,
                    timeout=aiohttp.ClientWSTimeout(ws_close=limits.connect_s),
                )
        except aiohttp.WSServerHandshakeError as refusal:
            raise self._refusal(refusal.status, "the event socket", first=first) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise _Broken(_line(fault)) from None

    async def _set_up(self, *, first: bool) -> None:
        """Filter and subscriptions are gone when Asterisk dropped the application: set them anew.

        Frames that arrive meanwhile wait in the socket, in order.
        """
        watch = setup.phone_watch(self.app, self._phones())
        for request in (setup.event_filter(self.app), *watch):
            reply = await self.send(request)
            if reply.status in {UNKNOWN, UNSENT}:
                raise _Broken(reply.body.decode(errors="replace"))
            if reply.status >= HTTPStatus.MULTIPLE_CHOICES:
                raise self._refusal(reply.status, request.path, first=first)

    def _refusal(self, status: int, what: str, *, first: bool) -> Exception:
        if first and status in _REFUSALS:
            why = (
                "wrong user or password"
                if status == HTTPStatus.UNAUTHORIZED
                else "this user may only read"
            )
            return AriRefused(
                f"Asterisk at {self._base} refuses user {self._user!r} ({int(status)}, {why}):"
                " check the [user] section of ari.conf and our ARI settings"
            )
        return _Broken(f"{what} answers {status}")

    def _complain(self) -> None:
        """One line about frames that can't be read, and then one a minute at most."""
        unread, now = self.counts.malformed + self.counts.too_long, time.monotonic()
        if unread > self._unread_told and now >= self._quiet_until:
            self._unread_told, self._quiet_until = unread, now + QUIET_S
            log.warning(
                "frames from asterisk can't be read",
                malformed=self.counts.malformed,
                too_long=self.counts.too_long,
            )

    async def _read(
        self, socket: aiohttp.ClientWebSocketResponse, on_event: Callable[[wire.WireEvent], None]
    ) -> NoReturn:
        try:
            while True:
                event = wire.decode(await _frame(socket), self.counts)
                if isinstance(event, wire.ApplicationReplaced):
                    # Connecting again would take the calls back from a controller that decides.
                    raise Replaced(f"another controller connected as {self.app!r}: giving way")
                if event is not None:
                    on_event(event)
                else:
                    self._complain()
        finally:
            await socket.close()


async def _frame(socket: aiohttp.ClientWebSocketResponse) -> bytes | str:
    message = await socket.receive()
    if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
        data: bytes | str = message.data
        return data
    fault = socket.exception()
    raise _Broken(_line(fault) if fault else f"the socket closed ({socket.close_code})")


class _Trouble:
    """One log line when the connection breaks, one when it is back, and pauses that grow."""

    def __init__(self, url: str) -> None:
        self._log = log.bind(asterisk=url)
        self._since: float | None = None  # when the trouble began, on the event loop's clock
        self._up_since = 0.0
        self._attempts = 0
        self.never_up = True

    def begins(self, why: str) -> bool:
        """The connection broke or could not be made; True if it had been up."""
        now = asyncio.get_running_loop().time()
        if self._since is not None:
            return False
        self._since = now
        if not self.never_up and now - self._up_since > LONGEST_PAUSE_S:
            self._attempts = 0  # kept while the socket flaps, or each flap would begin at 0.1 s
        what = "no asterisk there yet, trying on" if self.never_up else "asterisk lost, trying on"
        self._log.warning(what, why=why)
        return not self.never_up

    def over(self) -> None:
        """The connection is up."""
        now = asyncio.get_running_loop().time()
        away_s = 0.0 if self._since is None else now - self._since
        what = "asterisk connected" if self.never_up else "asterisk is back"
        self._log.info(what, away_s=round(away_s, 1))
        self.never_up, self._since, self._up_since = False, None, now

    def pause_s(self) -> float:
        """How long to wait before the next attempt, with jitter."""
        longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * float(2**self._attempts))
        self._attempts = min(self._attempts + 1, 16)
        return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def _line(fault: BaseException) -> str:
    """One line about a fault; aiohttp's names host and port, never a header."""
    return f"{type(fault).__name__}: {fault}".splitlines()[0][:200]


def _checked(url: str) -> str:
    parsed = yarl.URL(url)
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("the ARI url must look like http://host:8088/ari")
    if parsed.user or parsed.password or parsed.query_string:
        raise ValueError("the ARI url must hold no user, password or query: set them apart")
    return url.rstrip("/")
