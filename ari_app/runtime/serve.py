"""Puts the controller together and runs it until SIGTERM.

Start: take the lease, load, read the settings, connect, look at what Asterisk holds, then decide.
Stop: leave the socket first, so that new calls go to the dialplan's fallback at once; finish what
is under way; live calls stay up, and the next controller finds them.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable

import structlog
from sqlalchemy import Engine

from ari_app import logs
from ari_app.ari import wire
from ari_app.ari.client import AriClient, AriRefused, Replaced
from ari_app.ari.translate import Translator
from ari_app.core.call import Ended
from ari_app.runtime.clock import system_clock
from ari_app.runtime.controller import Controller
from ari_app.runtime.directory import Directory
from ari_app.runtime.follow import Follower
from ari_app.runtime.health import Health
from ari_app.runtime.inbox import Inbox, InboxFullError
from ari_app.runtime.intents import SettingsWatch
from ari_app.runtime.lookout import Lookout
from ari_app.runtime.metrics import CONTENT_TYPE, Metrics
from ari_app.runtime.mind import Mind
from ari_app.runtime.outbox import Outbox
from ari_app.runtime.spool import Spool
from ari_app.runtime.watchdog import Pulse, Supervisor
from ari_app.runtime.worker import Worker
from ari_app.settings import Settings, SettingsError
from ari_app.store import engine as database
from ari_app.store.engine import StoreError
from ari_app.store.store import Loaded, LostRaceError, Store

CLOCK = system_clock
FINISH_S = 3
CHECKPOINT_S = 30
REFUSED_WITHIN_S = 1

log = structlog.get_logger()

_FATAL = (AriRefused, Replaced, LostRaceError, InboxFullError, StoreError)


def serve(settings: Settings) -> int:
    """Run the controller. Gives the process's exit code; what went wrong is one line on stderr."""
    logs.configure(settings.log_format)
    try:
        settings.secret()
        engine = database.open_engine(settings.database_url)
        database.check(engine)  # not deeply: a start must be quick, however long the history is
        with database.lease(engine):
            asyncio.run(_serve(settings, engine))
    except (SettingsError, *_FATAL) as error:
        sys.stderr.write(f"sharedline: {error}\n")
        return 1
    return 0


async def _serve(settings: Settings, engine: Engine) -> None:
    worker = Worker()
    try:
        store = await worker.run(lambda: Store(engine, settings.app))
        await worker.run(store.take_over)
        loaded = await worker.run(store.load)
        for problem in loaded.problems:
            log.error("a row can't be read", problem=problem)
        client = _client(settings, lambda: service.endpoints())  # noqa: PLW0108 - made below
        async with client, asyncio.TaskGroup() as tasks:
            service = _Service(settings, store, worker, loaded, client, tasks)
            await service.run()
    except* _FATAL as group:
        raise _first(group) from None
    finally:
        worker.close()


def _client(settings: Settings, phones: Callable[[], Iterable[str]]) -> AriClient:
    try:
        return AriClient(
            settings.ari_url, settings.ari_user, settings.secret(), settings.app, phones=phones
        )
    except ValueError as error:
        raise SettingsError(f"SHAREDLINE_ARI_URL: {error}") from error


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


class _Service:
    """All the parts, wired."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        worker: Worker,
        loaded: Loaded,
        client: AriClient,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._health_bind = settings.health_bind
        self._pulse, self._metrics, self._supervisor = Pulse(), Metrics(), Supervisor()
        self._store, self._worker, self._client = store, worker, client
        self._loaded = loaded
        self._tasks = tasks
        self._next_call = loaded.next_call
        self._inbox = Inbox(CLOCK, settings.inbox_limit)
        send = self._metrics.timed(client.send)
        self._outbox = Outbox(send, settings.app, self._inbox.put, CLOCK, tasks.create_task)
        directory = Directory(settings.region, loaded.plans)
        mind = Mind(loaded, directory, CLOCK())
        self._metrics.look_at(mind, self._inbox, self._outbox, CLOCK)
        callers = {c.channel: c.id for c in loaded.calls if not isinstance(c.place, Ended)}
        callers |= {channel: call for call, channel in loaded.aside.items()}
        self._translator = Translator(settings.app, directory.resolve, self._new_call_id, callers)
        follower = Follower(
            store=store, worker=worker, send=send, app=settings.app, region=settings.region
        )
        self._watch = SettingsWatch(
            store=store,
            worker=worker,
            follower=follower,
            tell=self._inbox.put,
            clock=CLOCK,
        )
        self._spool = Spool(
            folder=settings.spool_dir,
            store=store,
            worker=worker,
            send=send,
            resolve=directory.resolve,
            new_call_id=self._new_call_id,
        )
        self._lookout = self._made_lookout(mind)
        self._controller = Controller(
            mind=mind,
            store=store,
            worker=worker,
            inbox=self._inbox,
            outbox=self._outbox,
            clock=CLOCK,
            db_patience_s=settings.db_patience_s,
            observers=(self._pulse, self._metrics),
        )

    def _made_lookout(self, mind: Mind) -> Lookout:
        return Lookout(
            client=self._client,
            translator=self._translator,
            mind=mind,
            unanswered=self._loaded.unanswered,
            put=self._inbox.put,
            send=self._outbox.put,
            clock=CLOCK,
            next_call=lambda: self._next_call,
        )

    def endpoints(self) -> frozenset[str]:
        """The phones to listen to, asked for at each connect."""
        return self._watch.endpoints()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        self._supervisor.say("STATUS=waiting for Asterisk")
        await self._watch.read()
        sides = [
            self._spawn(self._client.run(self._on_event, self._on_up, self._on_down)),
            self._spawn(self._watch.run()),
            self._spawn(self._fold_log()),
            self._spawn(self._lookout.run()),
            self._spawn(self._import_spool()),
            self._spawn(self._serve_health()),
            self._spawn(self._supervisor.watch(self._pulse.deciding)),
        ]
        controller = self._spawn(self._decide())
        await stopped.wait()
        log.info("stopping: new calls go to the fallback, live calls stay up")
        self._supervisor.say("STOPPING=1", "STATUS=stopping")
        for side in sides:
            side.cancel()
        await asyncio.wait(sides)  # the socket is closed from here on
        await self._finish(controller)
        log.info("stopped")

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    async def _decide(self) -> None:
        await self._lookout.has_looked.wait()
        log.info("deciding", live_calls=len(self._loaded.calls))
        self._supervisor.say("READY=1", "STATUS=deciding")
        await self._controller.run()

    async def _import_spool(self) -> None:
        await self._lookout.has_looked.wait()
        await self._spool.run()

    async def _finish(self, controller: asyncio.Task[None]) -> None:
        """What is under way is worth waiting for, a little; the next controller does the rest."""
        self._inbox.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                if self._lookout.has_looked.is_set():
                    await asyncio.shield(controller)
                    await self._outbox.idle()
                    await self._controller.record(self._inbox.take_now())
        controller.cancel()
        self._outbox.cancel()

    def _new_call_id(self) -> int:
        self._next_call += 1
        return self._next_call - 1

    # --- what the client calls; each returns at once ---

    def _on_event(self, event: wire.WireEvent) -> None:
        self._lookout.saw(event)
        happening = self._translator.translate(event, CLOCK())
        if happening is not None:
            self._inbox.put(happening)

    def _on_up(self) -> None:
        self._pulse.connection(up=True)
        self._metrics.connected()
        self._watch.connected()
        self._lookout.connected()

    def _on_down(self) -> None:
        self._pulse.connection(up=False)
        self._watch.disconnected()
        self._lookout.disconnected()
        self._controller.lose_sight()

    async def _serve_health(self) -> None:
        """Not before Asterisk could refuse our password: that is one line, and the end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REFUSED_WITHIN_S):
                await self._lookout.has_looked.wait()
        if self._health_bind:
            page = self._metrics.page
            await Health(self._health_bind, self._pulse, page, CONTENT_TYPE, self._inbox).run()

    async def _fold_log(self) -> None:
        """SQLite's write-ahead log goes back into the file while nothing happens."""
        while True:
            await asyncio.sleep(CHECKPOINT_S)
            if not len(self._inbox) and not len(self._outbox):
                try:
                    await self._worker.run(self._store.checkpoint)
                except StoreError as error:  # a turn that can't be committed is another matter
                    log.warning("the write-ahead log stays as it is", error=str(error))
