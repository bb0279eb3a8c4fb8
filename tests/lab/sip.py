"""A small SIP user agent over UDP whose signalling a test shapes at will.

Contract: `UserAgent.open(user)` binds 127.0.0.1; `register()` with digest; inbound INVITEs become
`Ring`s in `rings`; `invite()` gives an `Outgoing`. It never answers anything by itself except what
SIP demands (CANCEL, BYE, OPTIONS, retransmissions). Not for production: UDP on the loopback only.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Self

from tests.lab import message as sip
from tests.lab.legs import Dialog, Leg
from tests.lab.message import Address, Header, Message
from tests.lab.outgoing import Outgoing
from tests.lab.ring import Ring
from tests.lab.rtp import Rtp
from tests.lab.waiting import Missed, queued

RESEND_S = (0.5, 1.0, 2.0, 4.0)


class UserAgent(asyncio.DatagramProtocol):
    """One SIP identity on one UDP port."""

    def __init__(self, user: str, password: str = "", name: str = "") -> None:
        self.user, self.name, self._password = user, name, password
        self.rings: asyncio.Queue[Ring] = asyncio.Queue()
        self.on_ring: Callable[[Ring], None] | None = None
        self.texts: list[Message] = []
        self.requests: list[Message] = []
        self._legs: dict[str, Leg] = {}
        self._waiting: dict[tuple[str, str], asyncio.Queue[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None
        self._sequence = 0
        self._register_id = f"{secrets.token_hex(8)}@lab"

    @classmethod
    async def open(cls, user: str, password: str = "", name: str = "", port: int = 0) -> Self:
        agent = cls(user, password, name)
        loop = asyncio.get_running_loop()
        made = await loop.create_datagram_endpoint(lambda: agent, local_addr=("127.0.0.1", port))
        agent._transport = made[0]
        return agent

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    @property
    def contact(self) -> str:
        return f"<sip:{self.user}@127.0.0.1:{self.port}>"

    # -- what a phone does

    async def register(self, server: Address, expires_s: int = 3600) -> int:
        """Register, or unregister with 0; the final status (200 when it worked)."""
        uri = f"sip:{server[0]}:{server[1]}"
        us = f"<sip:{self.user}@{server[0]}:{server[1]}>"
        extra = (("Contact", self.contact), ("Expires", str(expires_s)))
        tag = secrets.token_hex(4)
        authorization: tuple[Header, ...] = ()
        for _ in range(2):
            self._sequence += 1
            headers = self._headers(f"{us};tag={tag}", us, self._register_id, self._sequence)
            ask = Message(f"REGISTER {uri} SIP/2.0", (*headers("REGISTER"), *extra, *authorization))
            reply = await self.ask(ask, server)
            if reply.status != 401:
                return reply.status
            authorization = self.authorization(reply, "REGISTER", uri)
        return reply.status

    async def invite(
        self,
        number: str,
        server: Address,
        *,
        request_user: str | None = None,
        headers: tuple[Header, ...] = (),
    ) -> Outgoing:
        """Call `number`; `request_user` is the request line's user when it differs from To."""
        host = f"{server[0]}:{server[1]}"
        user = number if request_user is None else request_user
        target = f"sip:{user}@{host}" if user else f"sip:{host}"
        us = f"<sip:{self.user}@127.0.0.1:{self.port}>;tag={secrets.token_hex(4)}"
        dialog = Dialog(
            call_id=f"{secrets.token_hex(8)}@lab",
            local=f'"{self.name}" {us}' if self.name else us,
            remote=f"<sip:{number}@{host}>",
            target=target,
            server=server,
        )
        call = Outgoing(self, dialog, await Rtp.open(), headers)
        self._legs[dialog.call_id] = call
        self.spawn(call.run())
        return call

    async def text(self, to: str, body: str, server: Address) -> int:
        """Send a MESSAGE; the final status."""
        uri = f"sip:{to}@{server[0]}:{server[1]}"
        us = f"<sip:{self.user}@127.0.0.1:{self.port}>;tag={secrets.token_hex(4)}"
        headers = self._headers(us, f"<{uri}>", f"{secrets.token_hex(8)}@lab", 1)
        typed = (*headers("MESSAGE"), ("Content-Type", "text/plain"))
        return (await self.ask(Message(f"MESSAGE {uri} SIP/2.0", typed, body), server)).status

    async def close(self) -> None:
        for leg in list(self._legs.values()):
            await leg.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    # -- for the legs

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def send(self, message: Message, to: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(message.encode(), to)

    def replies(self, branch: str, method: str) -> asyncio.Queue[Message]:
        return self._waiting.setdefault((branch, method), asyncio.Queue())

    async def ask(self, request: Message, to: Address) -> Message:
        """Send a request that is no INVITE, again when nothing comes; its final response."""
        replies = self.replies(request.branch, request.method)
        for wait_s in RESEND_S:
            self.send(request, to)
            with contextlib.suppress(Missed):
                while True:
                    reply = await queued(replies, wait_s, f"an answer to {request.method}")
                    if reply.status >= 200:
                        return reply
        raise Missed(f"no answer to {request.start}")

    def authorization(self, challenge: Message, method: str, uri: str) -> tuple[Header, ...]:
        for asked, answered in (
            ("www-authenticate", "Authorization"),
            ("proxy-authenticate", "Proxy-Authorization"),
        ):
            for value in challenge.all(asked):
                if "SHA" not in value:  # MD5 is offered too
                    answer = sip.digest(value, method, uri, self.user, self._password)
                    return ((answered, answer),)
        return ()

    def via(self) -> Header:
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        return ("Via", f"SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch};rport")

    def _headers(
        self, us: str, them: str, call_id: str, sequence: int
    ) -> Callable[[str], tuple[Header, ...]]:
        via = self.via()
        return lambda method: (
            via,
            ("Max-Forwards", "70"),
            ("From", us),
            ("To", them),
            ("Call-ID", call_id),
            ("CSeq", f"{sequence} {method}"),
        )

    # -- asyncio.DatagramProtocol

    def datagram_received(self, data: bytes, addr: Address) -> None:
        with contextlib.suppress(ValueError):  # keep-alives and noise
            received = Message.parse(data)
            if received.status:
                self._response(received)
            else:
                self._request(received, addr)

    def error_received(self, exc: Exception) -> None:
        """The server is gone: the deadlines of whoever waits tell it better."""

    def _response(self, received: Message) -> None:
        waiting = self._waiting.get((received.branch, received.method))
        if waiting is not None:
            waiting.put_nowait(received)

    def _request(self, request: Message, addr: Address) -> None:
        self.requests.append(request)
        leg = self._legs.get(request.get("call-id"))
        if leg is not None:
            leg.on_request(request)
        elif request.method == "INVITE":
            self.spawn(self._new_ring(request, addr))
        elif request.method != "ACK":
            known = request.method in {"OPTIONS", "MESSAGE", "NOTIFY"}
            if request.method == "MESSAGE":
                self.texts.append(request)
            start = "200 OK" if known else "481 Call Does Not Exist"
            self.send(sip.response(request, start, secrets.token_hex(4)), addr)

    async def _new_ring(self, invite: Message, addr: Address) -> None:
        rtp = await Rtp.open()
        if invite.get("call-id") in self._legs:  # a retransmission overtook us
            await rtp.close()
            return
        ring = Ring(self, invite, addr, rtp)
        self._legs[invite.get("call-id")] = ring
        if self.on_ring is not None:
            self.on_ring(ring)
        self.rings.put_nowait(ring)
