"""What the CLI wrote, noticed within a quarter of a second and carried to Asterisk.

Settings become a `ConfigRead` in the inbox; phones that we manage are made or removed; and each
number's fallback phones are kept in a global variable, for the dialplan to ring while we are down.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog

from ari_app.ari import setup
from ari_app.ari.client import Reply
from ari_app.ari.requests import Outcome, Request, outcome
from ari_app.core.plan import GUARD_S, Plan
from ari_app.runtime.clock import Clock
from ari_app.runtime.happenings import ConfigRead
from ari_app.runtime.worker import Worker
from ari_app.store.engine import StoreError
from ari_app.store.plans import READY, UNWANTED, Config, Phone
from ari_app.store.store import Store

POLL_S = 0.2

Fallback = tuple[int, tuple[str, ...]]  # after how many seconds, and which phones
NO_FALLBACK: Fallback = (0, ())

log = structlog.get_logger()


class Settings:
    """Watches the settings, and makes Asterisk follow them."""

    def __init__(
        self,
        *,
        store: Store,
        worker: Worker,
        send: Callable[[Request], Awaitable[Reply]],
        tell: Callable[[ConfigRead], None],
        clock: Clock,
        app: str,
    ) -> None:
        self._app = app
        self._store = store
        self._worker = worker
        self._send = send
        self._tell = tell
        self._clock = clock
        self._version = -1
        self._connected = False
        self._fallbacks: dict[str, Fallback] = {}
        self._tell_all = False
        self._config = Config({}, frozenset(), ())

    def endpoints(self) -> frozenset[str]:
        """Every phone whose state we want to hear of."""
        return frozenset(
            device.endpoint
            for plan in self._config.plans.values()
            for member in plan.members
            for device in member.devices
        )

    def connected(self) -> None:
        """Asterisk is there, and may have forgotten everything: tell it all again."""
        self._connected = True
        self._tell_all = True
        self._fallbacks = {}

    def disconnected(self) -> None:
        """Nothing can be told to Asterisk now."""
        self._connected = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
            except StoreError as error:
                log.warning("settings can't be read now", error=str(error))
            await asyncio.sleep(POLL_S)

    async def read(self) -> Config:
        """Read the settings and tell the controller."""
        self._version = await self._worker.run(self._store.data_version)
        config, agents = await self._worker.run(lambda: self._store.read_config(self._clock()))
        self._tell(ConfigRead(config, agents))
        known, self._config = self.endpoints(), config
        new = self.endpoints() - known
        if self._connected and new:
            for request in setup.phone_watch(self._app, sorted(new)):
                await self._send(request)
        return config

    async def _look(self) -> None:
        changed = await self._worker.run(self._store.data_version) != self._version
        config = await self.read() if changed else self._config
        if not self._connected or not (changed or self._tell_all):
            return
        everything, self._tell_all = self._tell_all, False
        await self._set_fallbacks(config)
        if await self._follow_phones(config, everything=everything):
            await self.read()

    async def _set_fallbacks(self, config: Config) -> None:
        """What the dialplan does without us: whom it rings, and when it stops believing in us."""
        wanted = {number: _fallback_of(plan) for number, plan in config.plans.items()}
        wanted |= {number: NO_FALLBACK for number in self._fallbacks if number not in wanted}
        for number, fallback in wanted.items():
            if self._fallbacks.get(number) != fallback:
                after_s, endpoints = fallback
                await self._send(setup.fallback_phones(number, endpoints))
                await self._send(setup.fallback_after(number, after_s))
        self._fallbacks = wanted

    async def _follow_phones(self, config: Config, *, everything: bool) -> bool:
        wanted = [phone for phone in config.phones if everything or phone.state != READY]
        for phone in wanted:
            await self._follow_phone(phone)
        return bool(wanted)

    async def _follow_phone(self, phone: Phone) -> None:
        name = phone.endpoint.removeprefix("PJSIP/")
        removal = setup.phone_removal(name)
        if phone.state == UNWANTED:
            # 403: an object of pjsip.conf, which was never ours to remove.
            if await self._carry_out(removal, keep_on=True) is None:
                await self._worker.run(lambda: self._store.phone_forgotten(phone.device))
            return
        problem = await self._carry_out(setup.phone_objects(name, phone.digest)) or ""
        if problem:
            log.warning("a phone could not be made", endpoint=phone.endpoint, problem=problem)
            await self._carry_out(removal, keep_on=True)  # no half of it stays behind
        await self._worker.run(lambda: self._store.phone_made(phone, problem))

    async def _carry_out(
        self, requests: tuple[Request, ...], *, keep_on: bool = False
    ) -> str | None:
        """What Asterisk objected to; None if it took all of them, or has not what is removed."""
        for request in requests:
            reply = await self._send(request)
            if outcome(request, reply.status) in {Outcome.DONE, Outcome.GONE}:
                continue
            if keep_on and reply.status == HTTPStatus.FORBIDDEN:
                continue
            said = reply.body[:200].decode(errors="replace")
            return f"Asterisk answers {reply.status} to {request.path}: {said}"
        return None


def _fallback_of(plan: Plan) -> Fallback:
    return plan.max_wait_s + GUARD_S, _phones_of(plan)


def _phones_of(plan: Plan) -> tuple[str, ...]:
    """The phones that the dialplan rings without us, as many as fit into its variable."""
    found = [
        device.endpoint for member in plan.members if member.may_ring for device in member.devices
    ]
    while len("&".join(found)) > setup.MAX_VALUE:
        found.pop()
    return tuple(found)
