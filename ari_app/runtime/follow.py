"""Makes Asterisk follow the settings: phones that we manage, and what the dialplan does without us.

What Asterisk has confirmed is remembered until the connection is lost; what it has not is told
again. A refusal is final until the setting changes or Asterisk is back; silence is not.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import structlog

from ari_app import e164
from ari_app.ari import setup
from ari_app.ari.client import Reply
from ari_app.ari.requests import Outcome, Request, outcome
from ari_app.core.plan import GUARD_S, Plan
from ari_app.runtime.worker import Worker
from ari_app.store.plans import READY, UNWANTED, Config, Phone
from ari_app.store.store import Store

# After how many seconds the dialplan stops believing in us, and which phones it rings then.
Fallback = tuple[int, tuple[str, ...]]
NO_FALLBACK: Fallback = (0, ())
SILENT = "Asterisk does not answer"

log = structlog.get_logger()


class Follower:
    """Tells Asterisk what it does not know yet. `follow` again whatever it could not tell."""

    def __init__(
        self,
        *,
        store: Store,
        worker: Worker,
        send: Callable[[Request], Awaitable[Reply]],
        app: str,
        region: str,
    ) -> None:
        self._store = store
        self._worker = worker
        self._send = send
        self._app = app
        self._region = region
        self.forget()

    def forget(self) -> None:
        """Asterisk may know nothing: tell it everything."""
        self._fallbacks: dict[str, Fallback] = {}
        self._pushed: dict[int, str] = {}  # device -> digest
        self._watched: frozenset[str] = frozenset()

    async def follow(self, config: Config) -> bool:
        """Tell Asterisk all that is new; False if it did not answer, and has to be told again."""
        told = [
            await self._watch(endpoints_of(config)),
            await self._set_fallbacks(config),
            *[await self._follow_phone(phone) for phone in config.phones],
        ]
        return all(told)

    # --- phones to listen to, and the dialplan's fallback ---

    async def _watch(self, endpoints: frozenset[str]) -> bool:
        new = endpoints - self._watched
        problem = await self._carry_out(setup.phone_watch(self._app, sorted(new))) if new else None
        if problem is None:
            self._watched = endpoints
        return problem is None

    async def _set_fallbacks(self, config: Config) -> bool:
        wanted = _fallbacks(config.plans, self._region)
        wanted |= {digits: NO_FALLBACK for digits in self._fallbacks if digits not in wanted}
        for digits, fallback in wanted.items():
            if self._fallbacks.get(digits) == fallback:
                continue
            after_s, endpoints = fallback
            requests = (
                setup.fallback_phones(digits, endpoints),
                setup.fallback_after(digits, after_s),
            )
            if await self._carry_out(requests) == SILENT:
                return False
            self._fallbacks[digits] = fallback
        return True

    # --- phones that we manage ---

    async def _follow_phone(self, phone: Phone) -> bool:
        if phone.state == UNWANTED:
            return await self._remove(phone)
        if self._pushed.get(phone.device) == phone.digest:
            return True
        problem = await self._carry_out(setup.phone_objects(_name(phone), phone.digest))
        if problem == SILENT:
            return False
        self._pushed[phone.device] = phone.digest
        if problem is not None:
            log.warning("a phone could not be made", endpoint=phone.endpoint, problem=problem)
            if phone.state != READY:  # no half of it stays behind
                await self._carry_out(setup.phone_removal(_name(phone)), keep_on=True)
        if problem is not None or phone.state != READY:
            await self._worker.run(lambda: self._store.phone_made(phone, problem or ""))
        return True

    async def _remove(self, phone: Phone) -> bool:
        removal = setup.phone_removal(_name(phone))
        if await self._carry_out(removal, keep_on=True) is not None:
            return False
        await self._worker.run(lambda: self._store.phone_forgotten(phone.device))
        return True

    async def _carry_out(
        self, requests: tuple[Request, ...], *, keep_on: bool = False
    ) -> str | None:
        """What Asterisk objected to, or SILENT; None if it took all of them.

        `keep_on` past objects of pjsip.conf (403), which were never ours to remove.
        """
        for request in requests:
            reply = await self._send(request)
            if outcome(request, reply.status) in {Outcome.DONE, Outcome.GONE}:
                continue
            if reply.status <= 0:  # UNKNOWN or UNSENT
                return SILENT
            if not (keep_on and reply.status == HTTPStatus.FORBIDDEN):
                said = reply.body[:200].decode(errors="replace")
                return f"Asterisk answers {reply.status} to {request.path}: {said}"
        return None


def endpoints_of(config: Config) -> frozenset[str]:
    """Every phone whose state we want to hear of."""
    return frozenset(
        device.endpoint
        for plan in config.plans.values()
        for member in plan.members
        for device in member.devices
    )


def _fallbacks(plans: Mapping[str, Plan], region: str) -> dict[str, Fallback]:
    """By the digits of each way in which a trunk may write the number, if no two share it."""
    ways = {number: e164.ways(number, region) for number in plans}
    counts = Counter(digits for found in ways.values() for digits in found)
    return {
        digits: (plans[number].max_wait_s + GUARD_S, _phones(plans[number]))
        for number, found in ways.items()
        for digits in found
        if counts[digits] == 1
    }


def _phones(plan: Plan) -> tuple[str, ...]:
    """The phones that the dialplan rings without us, as many as fit into its variable."""
    found = [
        device.endpoint for member in plan.members if member.may_ring for device in member.devices
    ]
    while len("&".join(found)) > setup.MAX_VALUE:
        found.pop()
    return tuple(found)


def _name(phone: Phone) -> str:
    return phone.endpoint.removeprefix("PJSIP/")
