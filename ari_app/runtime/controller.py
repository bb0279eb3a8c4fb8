"""The loop: drain what happened, make a turn of it, commit, then let the commands leave."""

import asyncio

import structlog

from ari_app.core.call import Connecting, Ringing, Waiting
from ari_app.core.events import MICROSECONDS
from ari_app.core.giveback import give_back
from ari_app.runtime.clock import Clock
from ari_app.runtime.happenings import Happening
from ari_app.runtime.inbox import Inbox
from ari_app.runtime.mind import Mind
from ari_app.runtime.outbox import Outbox
from ari_app.runtime.turn import Turn
from ari_app.runtime.worker import Worker
from ari_app.store.engine import StoreError
from ari_app.store.store import Store

RETRY_S = 0.25

log = structlog.get_logger()


class Controller:
    """Owns the belief; nothing else changes it."""

    def __init__(
        self,
        *,
        mind: Mind,
        store: Store,
        worker: Worker,
        inbox: Inbox,
        outbox: Outbox,
        clock: Clock,
        db_patience_s: float,
    ) -> None:
        self._mind = mind
        self._store = store
        self._worker = worker
        self._inbox = inbox
        self._outbox = outbox
        self._clock = clock
        self._db_patience_s = db_patience_s

    async def run(self) -> None:
        """Until the inbox is closed and empty."""
        while (happened := await self._inbox.drain(self._mind.next_at())) is not None:
            happened += self._mind.due(self._clock())
            if happened:
                await self.handle(happened)

    async def handle(self, happened: list[Happening]) -> None:
        """One turn, from the happenings to the commands that leave."""
        turn = await self._committed(happened)
        self._outbox.put(self._mind.committed(turn, self._clock()))
        _tell(turn)

    async def record(self, happened: list[Happening]) -> None:
        """A last turn: kept, but what it asks for is left to the next controller."""
        await self._committed(happened)

    async def _committed(self, happened: list[Happening]) -> Turn:
        """The turn, once it is committed. While the database is away it is made again and again."""
        away_at: int | None = None
        given_back: set[int] = set()
        while error := await self._try(turn := self._mind.turn(happened, self._clock())):
            if away_at is None:
                away_at = self._clock()
                log.warning("database is away", error=str(error))
            await self._endure(turn, away_at, given_back)
            happened += self._inbox.take_now()
        if away_at is not None:
            away_s = (self._clock() - away_at) / MICROSECONDS
            log.warning("database is back", away_s=away_s, given_back=len(given_back))
        return turn

    async def _try(self, turn: Turn) -> StoreError | None:
        batch = turn.batch()
        if batch.is_empty():
            return None
        try:
            await self._worker.run(lambda: self._store.commit(batch))
        except StoreError as error:
            return error
        return None

    async def _endure(self, turn: Turn, away_at: int, given_back: set[int]) -> None:
        """The database is away: after a while nobody is kept waiting for it."""
        await asyncio.sleep(RETRY_S)
        if self._clock() - away_at < self._db_patience_s * MICROSECONDS:
            return
        for call in (self._mind.live.calls | turn.calls).values():
            if call.id not in given_back and isinstance(call.place, Waiting | Ringing | Connecting):
                given_back.add(call.id)
                plan = self._mind.directory.plan_of(call)
                await self._outbox.urgently(give_back(call, plan, self._clock()).commands)


def _tell(turn: Turn) -> None:
    """One line a step."""
    for record in turn.batch().records:
        log.info(
            "step",
            call=record.event.call,
            on=type(record.event).__name__,
            before=record.before,
            after=record.after,
            **({"ignored": record.ignored} if record.ignored else {}),
            commands=[type(command).__name__ for command in record.commands],
        )
    for fault in turn.faults:
        log.error("a fault of ours", call=fault.event.call, exc_info=fault.error)
