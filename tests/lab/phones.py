"""The phones of a test: shaped ones (any signalling, real RTP), baresip ones, callers, the carrier.

Contract: `async with Lab(asterisk) as lab:` owns every phone made through it; at the end all are
hung up, unregistered and closed. Accounts are those the instance was started with
(`AsteriskInstance(phones=default_phones())`) or was given with `lab.add_account`.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.lab.asterisk import AsteriskInstance
from tests.lab.baresip_phones import BaresipPhone, BaresipStack
from tests.lab.message import Address, Message
from tests.lab.outgoing import Outgoing
from tests.lab.ring import Ring
from tests.lab.root import LabError
from tests.lab.sip import UserAgent
from tests.lab.waiting import Missed, queued, until

Behaviour = Callable[[Ring], None]


def default_phones(count: int = 10) -> dict[str, str]:
    """p01, p02, ... with fresh passwords."""
    return {f"p{number:02}": secrets.token_urlsafe(12) for number in range(1, count + 1)}


# -- what a phone may do by itself


def rings_forever(ring: Ring) -> None:
    ring.ringing()


def answers(after_s: float = 0.0, hz: float | None = None) -> Behaviour:
    def behave(ring: Ring) -> None:
        ring.ringing()
        ring.agent.spawn(_answer_later(ring, after_s, hz))

    return behave


def refuses(status: int, *, rings: bool = True) -> Behaviour:
    """486, 480, 603, 404, 500, ... after a 180, or without one."""

    def behave(ring: Ring) -> None:
        if rings:
            ring.ringing()
        ring.reject(status)

    return behave


def redirects(target: str) -> Behaviour:
    return lambda ring: ring.redirect(target)


async def _answer_later(ring: Ring, after_s: float, hz: float | None) -> None:
    await asyncio.sleep(after_s)
    if ring.is_ringing:
        ring.answer(hz)


class ShapedPhone:
    """A phone whose every word is the test's."""

    def __init__(self, agent: UserAgent, server: Address) -> None:
        self.agent, self.server = agent, server

    @property
    def name(self) -> str:
        return self.agent.user

    def behaves(self, behaviour: Behaviour | None) -> None:
        """What it does with every call from now on; None: nothing by itself."""
        self.agent.on_ring = behaviour

    async def rings(self, within_s: float = 3) -> Ring:
        """The next call that came in."""
        return await queued(self.agent.rings, within_s, f"{self.name} is called")

    async def stays_silent(self, for_s: float) -> None:
        """No call comes in for that long."""
        with contextlib.suppress(Missed):
            ring = await self.rings(for_s)
            raise AssertionError(f"{self.name} was called by {ring.caller_number}")

    async def registers(self) -> None:
        status = await self.agent.register(self.server)
        if status != 200:
            raise LabError(f"{self.name} can't register: {status}")

    async def unregisters(self) -> None:
        await self.agent.register(self.server, expires_s=0)

    async def dials(self, number: str) -> Outgoing:
        return await self.agent.invite(number, self.server)

    async def gets_text(self, within_s: float = 3) -> Message:
        """The next SIP MESSAGE; its text is `.body`."""
        await until(lambda: self.agent.texts, within_s, f"{self.name} gets a text")
        return self.agent.texts.pop(0)

    async def texts(self, to: str, body: str) -> int:
        return await self.agent.text(to, body, self.server)


class Lab:
    """All phones of one test around one Asterisk."""

    def __init__(self, asterisk: AsteriskInstance) -> None:
        self.asterisk = asterisk
        self.server: Address = ("127.0.0.1", asterisk.sip_port)
        self._shaped: list[ShapedPhone] = []
        self._agents: list[UserAgent] = []
        self._baresip: BaresipStack | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._baresip is not None:
            await self._baresip.close()
        for phone in self._shaped:
            with contextlib.suppress(Missed):  # a killed Asterisk takes no goodbye
                if self.asterisk.pid is not None:
                    await phone.unregisters()
        for agent in self._agents:
            await agent.close()

    async def shaped_phone(
        self, name: str, behaviour: Behaviour | None = None, *, registered: bool = True
    ) -> ShapedPhone:
        phone = ShapedPhone(await self._agent(name, self._password(name)), self.server)
        phone.behaves(behaviour)
        self._shaped.append(phone)
        if registered:
            await phone.registers()
        return phone

    async def phone(self, name: str, password: str | None = None) -> BaresipPhone:
        """A baresip phone, registered: real audio from a real telephone program."""
        if self._baresip is None:
            self._baresip = await BaresipStack.start(self.asterisk.ports.baresip)
        return await self._baresip.phone(name, password or self._password(name), self.server)

    async def caller_dials(
        self, number: str, *, caller: str = "+4917012345", name: str = "", to: str | None = None
    ) -> Outgoing:
        """A customer calls through the trunk. `to`: what the carrier writes into To, if not the
        number (then `number` is only the request line's user; it may be empty)."""
        agent = await self._agent(caller, name=name)
        if to is None:
            return await agent.invite(number, self.server)
        return await agent.invite(to, self.server, request_user=number)

    async def outcome(self, call: Outgoing, within_s: float = 3) -> int:
        """The final status, whichever it is."""
        await until(lambda: call.final_status, within_s, f"{call} ends")
        return call.final_status

    async def carrier(self, behaviour: Behaviour | None = None) -> ShapedPhone:
        """The outside world: every call that Asterisk sends to the trunk rings here."""
        agent = await self._agent("carrier", port=self.asterisk.trunk_port)
        phone = ShapedPhone(agent, self.server)
        phone.behaves(behaviour)
        return phone

    async def _agent(
        self, user: str, password: str = "", name: str = "", port: int = 0
    ) -> UserAgent:
        agent = await UserAgent.open(user, password, name, port)
        self._agents.append(agent)
        return agent

    async def add_account(self, name: str) -> None:
        """One more phone on the running Asterisk (asterisk.push_phone), with a fresh password."""
        password = secrets.token_urlsafe(12)
        await asyncio.to_thread(self.asterisk.push_phone, name, password)
        self.asterisk.phones[name] = password

    def _password(self, name: str) -> str:
        if name not in self.asterisk.phones:
            raise LabError(f"no account {name}: start the instance with it, or lab.add_account")
        return self.asterisk.phones[name]
