"""A team and its shared numbers, so that a test reads like the call it tells.

Contract: `await team.number(["ann", "bob"])` writes the settings as the CLI would and returns once
the controller acts on them; `team.phone("ann")` is ann's phone; `team.ended(number)` is the history
of the number's last call; `team.nothing_left()` ends every story. All waits have a deadline. Rows
are written past the CLI's checks, so that tests may ring for one second.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from ari_app.store.engine import writing
from ari_app.store.tables import (
    AGENT,
    AGENT_STATE,
    ATTEMPT,
    CALL,
    DEVICE,
    JOURNAL,
    MEMBER,
    NUMBER,
    OUTBOX,
    PLAN,
)
from tests.e2e.service import Controller, ask
from tests.lab.baresip_phones import BaresipPhone
from tests.lab.outgoing import Outgoing
from tests.lab.phones import Behaviour, Lab, ShapedPhone
from tests.lab.waiting import Missed

LEARN_DEADLINE_S = 3
LEFT_DEADLINE_S = 5
PHONES = {"ann": "p01", "bob": "p02", "cat": "p03", "dan": "p04"}
_numbers = itertools.count(4930_7000_0001)


@dataclass(frozen=True)
class History:
    """How a call went, as the database tells it."""

    id: int
    outcome: str
    answered_by: str | None
    attempts: tuple[tuple[str, str], ...]  # (agent, outcome), as they ended

    def of(self, agent: str) -> list[str]:
        return [outcome for name, outcome in self.attempts if name == agent]


class Team:
    """The settings of one test, and the phones around them."""

    def __init__(self, controller: Controller, lab: Lab) -> None:
        self.controller, self.lab = controller, lab
        self._engine = controller.engine
        with writing(self._engine) as rows:
            for table in (MEMBER, DEVICE, NUMBER, AGENT):  # of the test before
                rows.execute(delete(table))

    # -- settings

    async def number(
        self,
        members: Sequence[str],
        *,
        phones: dict[str, Sequence[str]] | None = None,
        strategy: str = "ring-all",
        ring_s: int = 20,
        retry_s: int = 5,
        max_wait_s: int = 60,
        fallback: str = "announce",
    ) -> str:
        """A new number, in E.164, that rings these agents. `phones`: who has others than one."""
        number = f"+{next(_numbers)}"
        with writing(self._engine) as rows:
            row = {"e164": number, "label": "", "shard": self.controller.asterisk.app}
            times = {"ring_s": ring_s, "retry_s": retry_s, "max_wait_s": max_wait_s}
            rows.execute(
                insert(NUMBER).values(strategy=strategy, fallback=fallback, **row, **times)
            )
            for position, name in enumerate(members, 1):
                _join(rows, number, name, (phones or {}).get(name, ()), position)
        await self.learned(number, 1)
        return number

    async def add(self, name: str, number: str) -> None:
        """One more member."""
        before = self._version(number)
        with writing(self._engine) as rows:
            _join(rows, number, name, (), position=99)
        await self.learned(number, before + 1)

    async def remove(self, name: str, number: str) -> None:
        before = self._version(number)
        with writing(self._engine) as rows:
            agent = select(AGENT.c.id).where(AGENT.c.name == name).scalar_subquery()
            its = select(NUMBER.c.id).where(NUMBER.c.e164 == number).scalar_subquery()
            rows.execute(
                delete(MEMBER).where(MEMBER.c.agent_id == agent, MEMBER.c.number_id == its)
            )
        await self.learned(number, before + 1)

    async def change(self, number: str, **settings: int | str) -> None:
        """E.g. `ring_s=1`."""
        before = self._version(number)
        with writing(self._engine) as rows:
            rows.execute(update(NUMBER).where(NUMBER.c.e164 == number).values(settings))
        await self.learned(number, before + 1)

    async def learned(self, number: str, version: int) -> None:
        """The controller has read the settings, and the dialplan's fallback follows them."""
        if self.controller.pid is None:
            return
        await self.comes_true(
            lambda: self._version(number) >= version,
            LEARN_DEADLINE_S,
            f"the controller knows version {version} of {number}",
        )
        await self.fallback_is(number, self._phones(number))

    async def fallback_is(self, number: str, dial: str) -> None:
        name = f"FALLBACK_{number[1:]}"
        try:
            async with asyncio.timeout(LEARN_DEADLINE_S):
                while await self._global(name) != dial:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise Missed(f"{name} is {await self._global(name)!r}, not {dial!r}") from None

    # -- phones and calls

    async def phone(
        self, agent: str, behaviour: Behaviour | None = None, *, registered: bool = True
    ) -> ShapedPhone:
        """The agent's phone, whose every word is the test's."""
        name = PHONES.get(agent, agent)
        return await self.lab.shaped_phone(name, behaviour, registered=registered)

    async def telephone(self, agent: str) -> BaresipPhone:
        """The agent's phone as a real telephone program."""
        return await self.lab.phone(PHONES.get(agent, agent))

    async def caller(self, number: str, caller: str = "+4917012345", name: str = "") -> Outgoing:
        """A customer dials the number."""
        return await self.lab.caller_dials(number, caller=caller, name=name)

    # -- what is true in the end

    async def ended(self, number: str, within_s: float = 5) -> History:
        """The number's last call, once it is over."""
        newest = select(CALL).where(CALL.c.number == number).order_by(CALL.c.id.desc()).limit(1)
        await self.comes_true(
            lambda: (row := self._row(newest)) is not None and not row.live,
            within_s,
            f"the call of {number} is over",
        )
        call = self._row(newest)
        with self._engine.connect() as rows:
            names = {row.id: row.name for row in rows.execute(select(AGENT))}
            attempts = rows.execute(
                select(ATTEMPT).where(ATTEMPT.c.call_id == call.id).order_by(ATTEMPT.c.id)
            )
            ended = tuple((names[row.agent_id], row.outcome) for row in attempts)
        return History(call.id, call.outcome, names.get(call.agent_id), ended)
