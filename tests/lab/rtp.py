"""Real media for the shaped phones: ulaw every 20 ms, telephone events (RFC 4733) both ways.

Contract: `Rtp.open()` binds a port on 127.0.0.1; after `start(remote)` it sends `tone_hz` (or
silence) until `close()`. What comes in is kept for the last second: `heard()` are its samples.
"""

import asyncio
import contextlib
import random
import struct
from collections import deque
from typing import Self

from tests.lab import tones

PTIME_S = 0.02
EVENT_TYPE = 101
EVENT_PACKETS = 6  # 120 ms
DIGITS = "0123456789*#ABCD"
Address = tuple[str, int]


class Rtp(asyncio.DatagramProtocol):
    """One audio stream in each direction."""

    def __init__(self) -> None:
        self.tone_hz: float | None = None
        self.packets = 0
        self.digits = ""
        self.event_type = EVENT_TYPE
        self._received: deque[bytes] = deque(maxlen=50)
        self._last_event_at = -1
        self._to_press: deque[str] = deque()
        self._remote: Address | None = None
        self._sender: asyncio.Task[None] | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._sequence = random.randrange(1 << 15)
        self._clock = random.randrange(1 << 30)
        self._ssrc = random.randrange(1 << 32)

    @classmethod
    async def open(cls) -> Self:
        rtp = cls()
        loop = asyncio.get_running_loop()
        made = await loop.create_datagram_endpoint(lambda: rtp, local_addr=("127.0.0.1", 0))
        rtp._transport = made[0]
        return rtp

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def start(self, remote: Address, event_type: int = EVENT_TYPE) -> None:
        self._remote, self.event_type = remote, event_type
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all())

    def press(self, digits: str) -> None:
        self._to_press.extend(digits.upper())

    @property
    def all_pressed(self) -> bool:
        return not self._to_press

    def heard(self, last_s: float = 0.2) -> list[int]:
        """The samples of the last packets; forget() starts afresh."""
        count = int(last_s / PTIME_S)
        packets = list(self._received)[-count:]
        return tones.decode(b"".join(packets))

    def share(self, hz: float) -> float:
        return tones.share(self.heard(), hz)

    def forget(self) -> None:
        self._received.clear()
        self.packets = 0

    async def close(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sender
        if self._transport is not None:
            self._transport.close()

    # -- asyncio.DatagramProtocol

    def datagram_received(self, data: bytes, addr: Address) -> None:  # noqa: ARG002
        if len(data) < 12:
            return
        kind, clock = data[1] & 0x7F, struct.unpack("!I", data[4:8])[0]
        if kind == 0:
            self.packets += 1
            self._received.append(data[12:])
        elif kind == self.event_type and len(data) >= 16:
            self._event(data[12], ended=bool(data[13] & 0x80), clock=clock)

    def error_received(self, exc: Exception) -> None:
        """The other side closed its port first: normal at the end of a call."""

    # -- inside

    def _event(self, code: int, *, ended: bool, clock: int) -> None:
        if ended and clock != self._last_event_at and code < len(DIGITS):
            self._last_event_at = clock
            self.digits += DIGITS[code]

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if self._to_press:
                due = await self._send_digit(self._to_press[0], due)
                self._to_press.popleft()
            else:
                self._send(0, self._frame(), self._clock)
                due = await self._tick(due)

    async def _tick(self, due: float) -> float:
        """Sleep until the next packet is due; late ones follow at once."""
        self._clock = (self._clock + tones.FRAME) & 0xFFFFFFFF
        due += PTIME_S
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        return due

    async def _send_digit(self, digit: str, due: float) -> float:
        code, began = DIGITS.index(digit), self._clock
        for count in range(1, EVENT_PACKETS + 1):
            event = struct.pack("!BBH", code, 10, count * tones.FRAME)
            self._send(self.event_type, event, began, marker=count == 1)
            due = await self._tick(due)
        final = struct.pack("!BBH", code, 0x80 | 10, EVENT_PACKETS * tones.FRAME)
        for _ in range(3):  # RFC 4733: the end is said three times
            self._send(self.event_type, final, began)
            due = await self._tick(due)
        return due

    def _frame(self) -> bytes:
        if self.tone_hz is None:
            return tones.SILENCE
        return tones.encode(tones.tone(self.tone_hz, tones.FRAME, self._clock % tones.RATE))

    def _send(self, kind: int, payload: bytes, clock: int, *, marker: bool = False) -> None:
        if self._transport is None or self._remote is None:
            return
        self._sequence = (self._sequence + 1) & 0xFFFF
        first = kind | (0x80 if marker else 0)
        header = struct.pack("!BBHII", 0x80, first, self._sequence, clock, self._ssrc)
        self._transport.sendto(header + payload, self._remote)
