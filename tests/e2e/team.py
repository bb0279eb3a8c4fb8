"""A team and its shared numbers, so that a test reads like the call it tells.

Contract: `await team.number(["ann", "bob"])` writes the settings as the CLI would and returns once
the controller acts on them; `team.phone("ann")` is ann's phone; `team.ended(number)` is the history
of the number's last call; `team.nothing_left()` ends every story. All waits have a deadline. Rows
are written past the CLI's checks, so that tests may ring for one second.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select, update

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
from tests.e2e.service import Controller, ask, comes_true
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
        phones: Mapping[str, Sequence[str]] | None = None,
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

    async def agent_leaves(self, name: str, number: str) -> None:
        """As `agents remove`: the row stays for the history, phones and memberships go."""
        before = self._version(number)
        with writing(self._engine) as rows:
            agent = select(AGENT.c.id).where(AGENT.c.name == name).scalar_subquery()
            rows.execute(delete(MEMBER).where(MEMBER.c.agent_id == agent))
            rows.execute(delete(DEVICE).where(DEVICE.c.agent_id == agent))
            rows.execute(update(AGENT).where(AGENT.c.name == name).values(removed=True))
        await self.learned(number, before + 1)

    async def remove_number(self, number: str) -> None:
        with writing(self._engine) as rows:
            rows.execute(delete(NUMBER).where(NUMBER.c.e164 == number))  # its members with it
        await self.fallback_is(number, "")

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
        await comes_true(
            lambda: self._version(number) >= version,
            LEARN_DEADLINE_S,
            f"the controller knows version {version} of {number}",
        )
        await self.fallback_is(number, self._phones(number))

    async def fallback_is(self, number: str, dial: str) -> None:
        """What the dialplan would ring for the number, were the controller away."""

        async def so() -> bool:
            name = f"FALLBACK_{number[1:]}"
            found = await ask(self.controller.asterisk, "GET", "/asterisk/variable", variable=name)
            return bool(found["value"] == dial)

        await comes_true(so, LEARN_DEADLINE_S, f"the fallback of {number} is {dial!r}")

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
        await comes_true(
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

    async def talks(self, number: str, agent: str, within_s: float = 3) -> None:
        """The agent is in a conversation with a caller of that number."""
        who = select(AGENT.c.id).where(AGENT.c.name == agent, ~AGENT.c.removed)
        talk = select(func.count()).where(
            CALL.c.number == number,
            CALL.c.live,
            CALL.c.place == "Talking",
            CALL.c.agent_id == who.scalar_subquery(),
        )
        what = f"{agent} talks with a caller of {number}"
        await comes_true(lambda: self._value(talk), within_s, what)

    async def attempted(self, number: str, agent: str, outcome: str, within_s: float = 3) -> None:
        """An offer to the agent ended so, in the number's last call, which may go on."""
        last = select(func.max(CALL.c.id)).where(CALL.c.number == number).scalar_subquery()
        who = select(AGENT.c.id).where(AGENT.c.name == agent, ~AGENT.c.removed).scalar_subquery()
        query = select(func.count()).where(
            ATTEMPT.c.call_id == last, ATTEMPT.c.agent_id == who, ATTEMPT.c.outcome == outcome
        )
        await comes_true(lambda: self._value(query), within_s, f"{agent}: {outcome}")

    def outcomes(self, number: str) -> Counter[str]:
        """How the number's calls ended; None for one that lives."""
        with self._engine.connect() as rows:
            ended = rows.execute(select(CALL.c.outcome).where(CALL.c.number == number))
            return Counter(ended.scalars())

    def journal(self, call: int) -> list[str]:
        """The names of the events of a call, in order."""
        with self._engine.connect() as rows:
            query = select(JOURNAL.c.event).where(JOURNAL.c.call_id == call)
            return list(rows.execute(query.order_by(JOURNAL.c.id)).scalars())

    async def settled(self) -> None:
        """Every command has been answered."""
        query = select(func.count()).select_from(OUTBOX)
        await comes_true(lambda: self._value(query) == 0, 3, "every command is answered")

    async def nothing_left(self) -> None:
        """No channel, no bridge, no live call, no command without an answer, all agents free."""
        left: list[str] = []

        async def gone() -> bool:
            left[:] = await self._left()
            return not left

        try:
            await comes_true(gone, LEFT_DEADLINE_S, "nothing is left")
        except Missed:
            raise Missed(f"left after {LEFT_DEADLINE_S} s: {'; '.join(left)}") from None

    async def bridges(self) -> list[str]:
        found = await ask(self.controller.asterisk, "GET", "/bridges")
        return [bridge["id"] for bridge in found]

    # -- inside

    async def _left(self) -> list[str]:
        asterisk = self.controller.asterisk
        channels = await ask(asterisk, "GET", "/channels")
        left = [f"channel {channel['id']} {channel['name']}" for channel in channels]
        left += [f"bridge {bridge}" for bridge in await self.bridges()]
        busy = AGENT_STATE.c.talking | AGENT_STATE.c.reserved_by.is_not(None)
        with self._engine.connect() as rows:
            left += [f"call {row.id} {row.place}" for row in rows.execute(_LIVE)]
            left += [f"command {row.body}" for row in rows.execute(select(OUTBOX))]
            left += [f"agent {row}" for row in rows.execute(select(AGENT_STATE).where(busy))]
        return left

    def _version(self, number: str) -> int:
        query = select(func.max(PLAN.c.version)).where(PLAN.c.number == number)
        return int(self._value(query) or 0)

    def _phones(self, number: str) -> str:
        with self._engine.connect() as rows:
            return "&".join(rows.execute(_PHONES_OF.where(NUMBER.c.e164 == number)).scalars())

    def _row(self, query: Select[Any]) -> Any:
        with self._engine.connect() as rows:
            return rows.execute(query).first()

    def _value(self, query: Select[Any]) -> Any:
        with self._engine.connect() as rows:
            return rows.execute(query).scalar()


_LIVE = select(CALL).where(CALL.c.live)
_PHONES_OF = (
    select(DEVICE.c.endpoint)
    .join(MEMBER, MEMBER.c.agent_id == DEVICE.c.agent_id)
    .join(NUMBER, NUMBER.c.id == MEMBER.c.number_id)
    .where(MEMBER.c.may_ring, DEVICE.c.state == "ready")
    .order_by(MEMBER.c.position, DEVICE.c.agent_id, DEVICE.c.id)
)


def _join(rows: Connection, number: str, name: str, phones: Sequence[str], position: int) -> None:
    """The agent, made if need be with its phones, becomes a member."""
    agent = rows.execute(select(AGENT.c.id).where(AGENT.c.name == name)).scalar()
    if agent is None:
        made = rows.execute(insert(AGENT).values(name=name, removed=False)).inserted_primary_key
        assert made is not None
        agent = made[0]
        for phone in phones or (PHONES.get(name, name),):
            device = {"endpoint": f"PJSIP/{phone}", "managed": False, "digest": "", "problem": ""}
            rows.execute(insert(DEVICE).values(agent_id=agent, state="ready", **device))
    place = select(NUMBER.c.id).where(NUMBER.c.e164 == number).scalar_subquery()
    row = {"agent_id": agent, "position": position, "may_ring": True, "may_call_out": True}
    rows.execute(insert(MEMBER).values(number_id=place, **row))
