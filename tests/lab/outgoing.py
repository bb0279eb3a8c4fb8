"""A call that a shaped phone makes.

Contract: the INVITE leaves at once (a 401 is answered with digest); every status is kept in
`statuses`; `rings`, `answered`, `refused` wait for one with a deadline; `cancel` gives up.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from tests.lab import message as sip
from tests.lab.legs import Dialog, Leg
from tests.lab.message import Header, Message
from tests.lab.rtp import Rtp
from tests.lab.waiting import Missed, until

if TYPE_CHECKING:
    from tests.lab.sip import UserAgent


class Outgoing(Leg):
    """A call that we make."""

    def __init__(
        self, agent: "UserAgent", dialog: Dialog, rtp: Rtp, headers: tuple[Header, ...]
    ) -> None:
        super().__init__(agent, dialog, rtp)
        self.statuses: list[int] = []
        self.response: Message | None = None
        self._extra = headers
        self._request = self._invite(())

    async def rings(self, within_s: float = 3) -> None:
        await until(lambda: 180 in self.statuses, within_s, f"{self} hears ringing (180)")

    async def progresses(self, within_s: float = 3) -> None:
        await until(lambda: 183 in self.statuses, within_s, f"{self} gets a 183")

    async def answered(self, within_s: float = 3) -> None:
        await until(lambda: self.final_status, within_s, f"{self} is answered")
        if self.final_status != 200:
            raise Missed(f"{self} was refused with {self.final_status}")

    async def refused(self, within_s: float = 3) -> int:
        """The final status, 300 or above."""
        await until(lambda: self.final_status, within_s, f"{self} is refused")
        if self.final_status == 200:
            raise Missed(f"{self} was answered")
        return self.final_status

    @property
    def final_status(self) -> int:
        """0 while there is none."""
        return next((status for status in self.statuses if status >= 200), 0)

    async def cancel(self, reason: str = "") -> int:
        """Give up before the answer; the final status (487, or 200 when the answer crossed it)."""
        await until(lambda: self.statuses, 3, f"{self} gets any response")
        extra = (("Reason", reason),) if reason else ()
        request = self._in_transaction("CANCEL", self._request.get("to"), extra)
        await self.agent.ask(request, self.dialog.server)
        await until(lambda: self.final_status, 3, f"{self} ends after CANCEL")
        return self.final_status

    async def hang_up(self, reason: str = "") -> None:
        """BYE; not before the answer that is on its way was confirmed (RFC 3261 section 15)."""
        with contextlib.suppress(Missed):
            await until(lambda: self.talking or self.final_status, 1, f"{self} is answered")
        await super().hang_up(reason)

    async def close(self) -> None:
        if not self.final_status and self.statuses:
            with contextlib.suppress(Missed):
                await self.cancel()
        await super().close()

    async def run(self) -> None:
        """Send the INVITE and follow it to its final response."""
        while True:
            final = await self._transact()
            if final.status != 401 or "Authorization" in dict(self._request.headers):
                break
            self.dialog.sequence += 1
            uri = self._request.uri
            self._request = self._invite(self.agent.authorization(final, "INVITE", uri))
        self.statuses.append(final.status)
        if final.status != 200:
            await self.rtp.close()

    async def _transact(self) -> Message:
        replies = self.agent.replies(self._request.branch, "INVITE")
        self.agent.send(self._request, self.dialog.server)
        while True:
            reply = await replies.get()
            if reply.status >= 200:
                self._on_final(reply)
                if reply.status == 200:
                    self.agent.spawn(self._ack_again(replies))
                return reply
            self.statuses.append(reply.status)
            if reply.body:
                self._start_media(reply.body)

    def _on_final(self, reply: Message) -> None:
        self.response = reply
        if reply.status != 200:  # the ACK of a refusal belongs to the INVITE's transaction
            ack = self._in_transaction("ACK", reply.get("to"))
            self.agent.send(ack, self.dialog.server)
            return
        self.dialog.remote = reply.get("to")
        self.dialog.target = sip.uri_of(reply.get("contact"))
        self.answered_at = asyncio.get_running_loop().time()
        self._start_media(reply.body)
        self.talking = True
        self._ack()

    def _ack(self) -> None:
        headers = self._dialog_headers("ACK", self._request.sequence)
        ack = Message(f"ACK {self.dialog.target} SIP/2.0", headers)
        self.agent.send(ack, self.dialog.server)

    async def _ack_again(self, replies: asyncio.Queue[Message]) -> None:
        while True:  # a repeated 200 means that our ACK was lost
            await replies.get()
            self._ack()

    def _in_transaction(self, method: str, to: str, extra: tuple[Header, ...] = ()) -> Message:
        """CANCEL, and the ACK of a refusal: they carry the INVITE's own Via and number."""
        invite = self._request
        headers = (
            ("Via", invite.get("via")),
            ("Max-Forwards", "70"),
            ("From", invite.get("from")),
            ("To", to),
            ("Call-ID", invite.get("call-id")),
            ("CSeq", f"{invite.sequence} {method}"),
        )
        return Message(f"{method} {invite.uri} SIP/2.0", (*headers, *extra))

    def _invite(self, authorization: tuple[Header, ...]) -> Message:
        headers = (
            *self._dialog_headers("INVITE"),
            ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE"),
            ("Content-Type", "application/sdp"),
            *self._extra,
            *authorization,
        )
        return Message(f"INVITE {self.dialog.target} SIP/2.0", headers, sip.sdp(self.rtp.port))
