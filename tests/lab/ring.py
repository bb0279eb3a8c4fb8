"""A call that comes in to a shaped phone.

Contract: the phone says only what the test says: `ringing`, `answer`, `reject`, `redirect`.
A CANCEL is confirmed as SIP demands and kept with its Reason headers.
"""

import asyncio
import secrets
from typing import TYPE_CHECKING

from tests.lab import message as sip
from tests.lab.legs import Dialog, Ended, Leg
from tests.lab.message import Address, Header, Message
from tests.lab.rtp import Rtp
from tests.lab.waiting import until

if TYPE_CHECKING:
    from tests.lab.sip import UserAgent


class Ring(Leg):
    """Somebody calls this phone."""

    def __init__(self, agent: "UserAgent", invite: Message, addr: Address, rtp: Rtp) -> None:
        tag = secrets.token_hex(4)
        dialog = Dialog(
            call_id=invite.get("call-id"),
            local=f"{invite.get('to')};tag={tag}",
            remote=invite.get("from"),
            target=sip.uri_of(invite.get("contact")),
            server=addr,
        )
        super().__init__(agent, dialog, rtp)
        self.invite = invite
        self.at = asyncio.get_running_loop().time()
        self.final_status = 0
        self._last: tuple[int, tuple[Header, ...], str] = (100, (), "")

    @property
    def caller_number(self) -> str:
        return sip.user_of(self.invite.get("from"))

    @property
    def caller_name(self) -> str:
        return sip.name_of(self.invite.get("from"))

    @property
    def called(self) -> str:
        """The user part of the request line."""
        return sip.user_of(self.invite.uri)

    def header(self, name: str) -> str:
        return self.invite.get(name)

    def ringing(self) -> None:
        self._answer(180)

    def answer(self, hz: float | None = None) -> None:
        """Exactly now."""
        self.play(hz)
        self._start_media(self.invite.body)
        self._answer(200, body=sip.sdp(self.rtp.port))
        self.talking = True

    def reject(self, status: int, *, reason: str = "") -> None:
        """486, 480, 603, 404, 500, ...; `reason` is a Reason header."""
        self._answer(status, extra=(("Reason", reason),) if reason else ())

    def redirect(self, target: str) -> None:
        """302 to a number or a URI."""
        uri = target if target.startswith("sip:") else f"sip:{target}@127.0.0.1"
        self._answer(302, extra=(("Contact", f"<{uri}>"),))

    async def cancelled(self, within_s: float = 3) -> Ended:
        await until(lambda: self._ended_by("CANCEL"), within_s, f"{self} is cancelled")
        assert self.ended is not None
        return self.ended

    @property
    def is_ringing(self) -> bool:
        return self.final_status == 0 and self.ended is None

    def on_request(self, request: Message) -> None:
        again = request.method == "INVITE" and request.sequence == self.invite.sequence
        if again:  # our answer was lost
            self._resend()
        elif request.method == "CANCEL":
            self._reply(request, 200)
            self._cancel(request)
        else:
            super().on_request(request)

    async def close(self) -> None:
        if self.is_ringing:
            self.reject(480)
        await super().close()

    def _cancel(self, request: Message) -> None:
        talking = self.talking
        self._end(request)
        self.talking = talking  # our 200 crossed it: a BYE follows
        if self.final_status == 0:
            self._answer(487)

    def _answer(self, code: int, *, extra: tuple[Header, ...] = (), body: str = "") -> None:
        if self.final_status:
            raise AssertionError(f"{self} has already answered {self.final_status}")
        self.final_status = code if code >= 200 else 0
        self._last = (code, extra, body)
        if code == 200:
            self.answered_at = asyncio.get_running_loop().time()
        self._resend()

    def _resend(self) -> None:
        code, extra, body = self._last
        self._reply(self.invite, code, extra=extra, body=body)
