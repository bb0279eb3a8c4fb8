"""One call as a phone sees it: what `Ring` (we are called) and `Outgoing` (we call) have in common.

Contract: commands (`answer`, `play`, `press`, `hang_up`, ...) act at once; what the other side does
is awaited with a deadline (`hears(900)`, `hung_up(within_s=3)`) and kept (`ended.reason`).
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.lab import message as sip
from tests.lab import tones
from tests.lab.message import Address, Header, Message, Sdp
from tests.lab.rtp import Rtp
from tests.lab.waiting import Missed, until

if TYPE_CHECKING:
    from tests.lab.sip import UserAgent

PHRASES = {180: "Ringing", 183: "Session Progress", 200: "OK", 302: "Moved Temporarily"}
CLEAR = 0.8  # share of the energy from which a tone counts as heard


@dataclass
class Dialog:
    """What both sides agreed on; `local` and `remote` are From and To as we send them."""

    call_id: str
    local: str
    remote: str
    target: str
    server: Address
    sequence: int = 1


@dataclass(frozen=True)
class Ended:
    """How the other side ended a call."""

    method: str  # CANCEL or BYE
    reason: str  # its Reason headers, joined
    at: float  # loop time


class Leg:
    """What both kinds of calls can do."""

    def __init__(self, agent: "UserAgent", dialog: Dialog, rtp: Rtp) -> None:
        self.agent, self.dialog, self.rtp = agent, dialog, rtp
        self.ended: Ended | None = None
        self.talking = False
        self.answered_at: float | None = None
        self.requests: list[Message] = []

    # -- talking

    def play(self, hz: float | None) -> None:
        self.rtp.tone_hz = hz

    async def hears(self, hz: float, within_s: float = 3) -> None:
        """The tone, and (nearly) nothing else, for 200 ms."""
        await until(lambda: self.rtp.share(hz) > CLEAR, within_s, f"{self} hears {hz:g} Hz")

    async def hears_something(self, within_s: float = 3) -> None:
        """An announcement or music."""
        loud = lambda: tones.loudness(self.rtp.heard()) > tones.QUIET  # noqa: E731
        await until(loud, within_s, f"{self} hears anything")

    def press(self, digits: str) -> None:
        self.rtp.press(digits)

    async def receives_digits(self, digits: str, within_s: float = 3) -> None:
        await until(
            lambda: self.rtp.digits.endswith(digits), within_s, f"{self} gets the keys {digits}"
        )

    # -- ending

    async def hang_up(self, reason: str = "") -> None:
        """BYE; returns when it was confirmed."""
        if self.talking:
            self.talking = False
            extra = (("Reason", reason),) if reason else ()
            with contextlib.suppress(Missed):
                await self.agent.ask(self._in_dialog("BYE", extra), self.dialog.server)
        await self.rtp.close()

    async def hung_up(self, within_s: float = 3) -> Ended:
        """The other side's BYE."""
        await until(lambda: self._ended_by("BYE"), within_s, f"{self} is hung up")
        assert self.ended is not None
        return self.ended

    async def close(self) -> None:
        """At the end of a test: leave nothing behind, whatever state it is in."""
        await self.hang_up()

    def on_request(self, request: Message) -> None:
        """A request inside this call."""
        self.requests.append(request)
        if request.method == "BYE":
            self._reply(request, 200)
            self._end(request)
        elif request.method in {"INVITE", "UPDATE"}:
            self._reply(request, 200, body=sip.sdp(self.rtp.port))
        elif request.method != "ACK":
            self._reply(request, 200)

    # -- inside

    def __str__(self) -> str:
        return f"{type(self).__name__} of {self.agent.user}"

    def _ended_by(self, method: str) -> bool:
        return self.ended is not None and self.ended.method == method

    def _end(self, request: Message) -> None:
        self.talking = False
        self.rtp.tone_hz = None
        at = asyncio.get_running_loop().time()
        self.ended = Ended(request.method, ", ".join(request.all("reason")), at)

    def _reply(
        self, request: Message, code: int, *, extra: tuple[Header, ...] = (), body: str = ""
    ) -> None:
        headers = extra
        if not any(name == "Contact" for name, _ in extra):  # a 302 brings its own
            headers = (("Contact", self.agent.contact), *extra)
        if body:
            headers += (("Content-Type", "application/sdp"),)
        tag = sip.parameter(self.dialog.local, "tag")
        start = f"{code} {PHRASES.get(code, 'No')}"
        self.agent.send(sip.response(request, start, tag, headers, body), self.dialog.server)

    def _in_dialog(self, method: str, extra: tuple[Header, ...] = ()) -> Message:
        self.dialog.sequence += 1
        headers = (*self._dialog_headers(method), *extra)
        return Message(f"{method} {self.dialog.target} SIP/2.0", headers)

    def _dialog_headers(self, method: str, sequence: int = 0) -> tuple[Header, ...]:
        return (
            self.agent.via(),
            ("Max-Forwards", "70"),
            ("From", self.dialog.local),
            ("To", self.dialog.remote),
            ("Call-ID", self.dialog.call_id),
            ("CSeq", f"{sequence or self.dialog.sequence} {method}"),
            ("Contact", self.agent.contact),
        )

    def _start_media(self, body: str) -> None:
        offer = Sdp.parse(body)
        if offer is not None:
            self.rtp.start(offer.remote, offer.event_type)
