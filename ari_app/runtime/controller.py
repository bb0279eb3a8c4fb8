"""The loop: drain what happened, make a turn of it, commit, then let the commands leave."""

import asyncio
import time
from collections.abc import Iterable

import structlog

from ari_app.core.events import MICROSECONDS
from ari_app.runtime.clock import Clock
from ari_app.runtime.happenings import Happening
from ari_app.runtime.inbox import Inbox
from ari_app.runtime.mind import Mind, Patience
from ari_app.runtime.outbox import Outbox
from ari_app.runtime.turn import Turn
from ari_app.runtime.worker import Worker
from ari_app.store.engine import StoreError
from ari_app.store.store import Batch, Store

RETRY_S = 0.25
PASS_S = 1  # the loop goes round at least this often, so that one that is stuck can be told

log = structlog.get_logger()


class Observer:
    """Is told what the controller does. Each method returns at once and raises nothing."""

    def passed(self) -> None:
        """The loop goes round, whether or not anything happened."""

    def decided(self, happenings: int, seconds: float) -> None:
        """A turn was made; it may have to be made again."""

    def tried(self, seconds: float, error: StoreError | None) -> None:
        """A commit succeeded, or failed with this error."""

    def committed(self, batch: Batch) -> None:
        """The turn is in the database."""


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
        observers: Iterable[Observer] = (),
    ) -> None:
        self._mind = mind
        self._store = store
        self._worker = worker
        self._inbox = inbox
        self._outbox = outbox
        self._clock = clock
        self._db_patience_s = db_patience_s
        self._observers = tuple(observers)

    async def run(self) -> None:
        """Until the inbox is closed and empty."""
        while (happened := await self._inbox.drain(self._next_pass_at())) is not None:
            self._passed()
            happened += self._mind.due(self._clock())
            if happened:
                await self.handle(happened)

    def _next_pass_at(self) -> int:
        pass_at = self._clock() + PASS_S * MICROSECONDS
        next_at = self._mind.next_at()
        return pass_at if next_at is None else min(next_at, pass_at)

    def _passed(self) -> None:
        for observer in self._observers:
            observer.passed()

    async def handle(self, happened: list[Happening]) -> None:
        """One turn, from the happenings to the commands that leave."""
        turn = await self._committed(happened)
        self._outbox.put(self._mind.committed(turn, self._clock()))
        _tell(turn)

    def lose_sight(self) -> None:
        """No event reaches us until the next `Observed`."""
        self._mind.lose_sight()

    async def record(self, happened: list[Happening]) -> None:
        """A last turn: kept, but what it asks for is left to the next controller."""
        await self._committed(happened)

    async def _committed(self, happened: list[Happening]) -> Turn:
        """The turn, once it is committed. While the database is away it is made again and again."""
        patience: Patience | None = None
        while error := await self._try(turn := self._turn(happened)):
            if patience is None:
                patience = Patience(self._db_patience_s, self._clock())
                log.warning("database is away", error=str(error))
            await asyncio.sleep(RETRY_S)
            for command in patience.commands(self._mind, turn, self._clock()):
                self._passed()  # each may wait for an Asterisk that does not answer either
                await self._outbox.urgently([command])
            happened += self._inbox.take_now()
        if patience is not None:
            away_s = (self._clock() - patience.away_at) / MICROSECONDS
            log.warning("database is back", away_s=away_s, given_back=len(patience.given_back))
        for observer in self._observers:
            observer.committed(turn.batch())
        return turn

    def _turn(self, happened: list[Happening]) -> Turn:
        began = time.perf_counter()
        turn = self._mind.turn(happened, self._clock())
        for observer in self._observers:
            observer.decided(len(happened), time.perf_counter() - began)
        return turn

    async def _try(self, turn: Turn) -> StoreError | None:
        batch = turn.batch()
        if batch.is_empty():
            return None
        began = time.perf_counter()
        error = await self._commit(batch)
        for observer in self._observers:
            observer.tried(time.perf_counter() - began, error)
        return error

    async def _commit(self, batch: Batch) -> StoreError | None:
        try:
            await self._worker.run(lambda: self._store.commit(batch))
        except StoreError as error:
            return error
        return None


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
        log.error("a fault of ours", call=fault.call, exc_info=fault.error)
