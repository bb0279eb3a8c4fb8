"""baresip as a telephone: a real SIP program with real media, for the audio stories.

Contract: one `BaresipStack` per process at a time (a limit of baresip-python); its phones register
with digest, answer, dial, play a tone and tell which tone they hear. A rejection is always 486 and
there is no other shaping: use the shaped phones for that.
"""

import array
import asyncio
import contextlib
from typing import Self

import baresip

from tests.lab import tones
from tests.lab.message import Address, user_of
from tests.lab.waiting import Missed, queued, until

CLEAR = 0.8
AHEAD_S = 0.06  # fed this far ahead; baresip sends silence when it runs dry


class BaresipCall:
    """One call of a baresip phone, in either direction."""

    def __init__(self, call: baresip.Call, name: str) -> None:
        self._call, self._name = call, name
        self.tone_hz: float | None = None
        self.digits = ""
        self.rang = False
        self._samples: list[int] = []
        self._position = 0
        call.on_dtmf(self._on_digit)
        call.on(self._on_event)
        self._pump = asyncio.create_task(self._run())

    @property
    def caller_number(self) -> str:
        return user_of(self._call.peer or "")

    @property
    def is_up(self) -> bool:
        return self._call.state is baresip.CallState.ESTABLISHED

    @property
    def is_over(self) -> bool:
        return self._call.state is baresip.CallState.CLOSED

    async def answer(self, hz: float | None = None) -> None:
        self.tone_hz = hz
        await self._call.answer()
        await until(lambda: self.is_up, 3, f"{self._name}'s answer is confirmed")

    async def reject(self) -> None:
        """486, the only refusal that baresip-python has."""
        await self._call.reject()

    async def answered(self, within_s: float = 3) -> None:
        await until(lambda: self.is_up, within_s, f"{self._name}'s call is answered")

    async def rings(self, within_s: float = 3) -> None:
        await until(lambda: self.rang, within_s, f"{self._name} hears ringing")

    async def cancelled(self, within_s: float = 3) -> None:
        """The caller, or the answer of another phone, ended the ringing."""
        await until(lambda: self.is_over, within_s, f"{self._name}'s ringing ends")

    async def hung_up(self, within_s: float = 3) -> None:
        await until(lambda: self.is_over, within_s, f"{self._name} is hung up")

    async def hang_up(self) -> None:
        with contextlib.suppress(baresip.StaleHandleError):
            await self._call.hangup()

    def play(self, hz: float | None) -> None:
        self.tone_hz = hz

    def share(self, hz: float) -> float:
        return tones.share(self._samples[-tones.RATE // 5 :], hz)

    async def hears(self, hz: float, within_s: float = 3) -> None:
        await until(lambda: self.share(hz) > CLEAR, within_s, f"{self._name} hears {hz:g} Hz")

    async def press(self, digits: str) -> None:
        await self._call.send_dtmf(digits)

    async def receives_digits(self, digits: str, within_s: float = 3) -> None:
        await until(
            lambda: self.digits.endswith(digits), within_s, f"{self._name} gets the keys {digits}"
        )

    async def close(self) -> None:
        self._pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._pump
        if not self.is_over:
            await self.hang_up()

    # -- inside

    def _on_digit(self, event: baresip.DigitEvent) -> None:
        self.digits += event.digit

    def _on_event(self, event: baresip.StackEvent) -> None:
        if event.event in {baresip.Event.CALL_RINGING, baresip.Event.CALL_PROGRESS}:
            self.rang = True

    async def _run(self) -> None:
        """Feed and read the audio every 20 ms while there is any."""
        while not self.is_over:
            with contextlib.suppress(baresip.AudioNotActive, baresip.AudioRestarted):
                self._exchange()
            await asyncio.sleep(0.02)

    def _exchange(self) -> None:
        audio = self._call.audio
        info = audio.info()
        received = array.array("h", audio.read(16000) if info.rx_ready else b"")
        self._samples = (self._samples + received.tolist())[-tones.RATE :]
        missing = int(AHEAD_S * tones.RATE) - info.tx_buffered // 2
        if info.tx_ready and self.tone_hz is not None and missing > 0:
            samples = tones.tone(self.tone_hz, missing, self._position)
            self._position += missing
            audio.write(array.array("h", samples).tobytes())


class BaresipPhone:
    """One registered account."""

    def __init__(self, agent: baresip.UserAgent, name: str, server: Address) -> None:
        self._agent, self.name, self._server = agent, name, server
        self._rings: asyncio.Queue[BaresipCall] = asyncio.Queue()
        self._calls: list[BaresipCall] = []
        agent.on_incoming(self._on_incoming)

    async def rings(self, within_s: float = 3) -> BaresipCall:
        return await queued(self._rings, within_s, f"{self.name} is called")

    async def dials(self, number: str) -> BaresipCall:
        host, port = self._server
        call = BaresipCall(await self._agent.dial(f"sip:{number}@{host}:{port}"), self.name)
        self._calls.append(call)
        return call

    async def unregisters(self) -> None:
        await self._agent.unregister()

    async def close(self) -> None:
        for call in self._calls:
            await call.close()
        with contextlib.suppress(baresip.BaresipError, Missed):
            await self._agent.unregister(timeout=1)

    def _on_incoming(self, call: baresip.Call) -> None:
        incoming = BaresipCall(call, self.name)
        self._calls.append(incoming)
        self._rings.put_nowait(incoming)


class BaresipStack:
    """The one running baresip of this process."""

    def __init__(self, runtime: baresip.Runtime) -> None:
        self._runtime = runtime
        self._phones: list[BaresipPhone] = []

    @classmethod
    async def start(cls, port: int) -> Self:
        """SIP on `port`, RTP on the ports behind it."""
        runtime = baresip.Runtime()
        extra = f"sip_listen 127.0.0.1:{port}\nrtp_ports {port + 2}-{port + 180}\n"
        config = baresip.Config(
            net_interface="127.0.0.1", max_concurrent_calls=None, extra_config_text=extra
        )
        await runtime.start(config)
        return cls(runtime)

    async def phone(self, name: str, password: str, server: Address) -> BaresipPhone:
        host, port = server
        account = baresip.Account(name, f"{host}:{port}", password, audio_codecs=("pcmu",))
        agent = await baresip.UserAgent.create(self._runtime, account)
        await agent.register()
        phone = BaresipPhone(agent, name, server)
        self._phones.append(phone)
        return phone

    async def close(self) -> None:
        for phone in self._phones:
            await phone.close()
        await self._runtime.close()
