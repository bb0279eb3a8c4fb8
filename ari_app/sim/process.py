"""One life of a controller, from its start to its kill: the runtime's objects under the fake clock.

What `serve` does with asyncio is done here with planned deeds: a turn takes a moment to commit,
a request a moment each way, an event a moment to arrive. A killed process simply stops reacting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ari_app.ari import requests, wire
from ari_app.ari.observe import Observed
from ari_app.ari.requests import UNKNOWN, UNSENT, Outcome, Request
from ari_app.ari.translate import Translator
from ari_app.core.call import Ended
from ari_app.core.commands import Command, LegId, is_too_late
from ari_app.core.events import CommandDone, CommandFailed, after
from ari_app.core.reconcile import Seen
from ari_app.runtime import recover
from ari_app.runtime.directory import Directory
from ari_app.runtime.happenings import Answered, ConfigRead, Happening
from ari_app.runtime.happenings import Observed as Looked
from ari_app.runtime.lookout import AGAIN_S
from ari_app.runtime.lookout import LOOK_AROUND_S as LOOK_S
from ari_app.runtime.mind import Mind, Patience
from ari_app.runtime.outbox import PAUSES_S, TOO_LATE, Lanes, may_repeat
from ari_app.runtime.turn import Turn
from ari_app.sim.asterisk import APP, Asterisk
from ari_app.sim.invariants import BrokenPromise, Invariants, Tell
from ari_app.sim.memory import Keeper
from ari_app.sim.script import (
    AFTER_COMMIT,
    BEFORE_COMMIT,
    BEFORE_REQUEST,
    REQUEST_DONE,
    REQUEST_SENT,
)
from ari_app.sim.world import World
from ari_app.store.engine import StoreError
from ari_app.store.store import LostRaceError, Sent

PATIENCE_S = 10.0
RETRY_S = 0.25
NETWORK_S = (0.0002, 0.004)
COMMIT_S = (0.0001, 0.003)
POLL_S = (0.0, 0.25)  # until a change of the settings is noticed
FLUTTER_S = 3.0


@dataclass(slots=True)
class Weather:
    """What is wrong between Asterisk and whoever of us lives now."""

    http_lost: float | None = None  # the part of requests without any effect, while it is dead
    events_flutter: bool = False


class Process:
    """A controller that lives until `kill`."""

    def __init__(
        self,
        world: World,
        asterisk: Asterisk,
        store: Keeper,
        invariants: Invariants,
        dice: Random,
        weather: Weather,
        killed: Callable[[], None],
        tell: Tell,
    ) -> None:
        self._world = world
        self._asterisk = asterisk
        self._store = store
        self._invariants = invariants
        self._dice = dice
        self._weather = weather
        self._killed = killed
        self._tell = tell
        self.alive = True
        self._kill_point, self._kill_in = "", 0
        self._cut_in = 0
        self._cut: Callable[[], None] | None = None
        self._socket = 0
        self._inbox: list[Happening] = []
        self._lanes = Lanes()
        self._busy = True
        self._looked = False
        self._patience: Patience | None = None
        self._last_event_at: dict[str, int] = {}
        self._left_at: dict[str, int] = {}
        self._start()

    def _start(self) -> None:
        self._store.take_over()
        self._loaded = self._store.load()
        directory = Directory("DE", self._loaded.plans)
        self._next_call = self._loaded.next_call
        callers = {c.channel: c.id for c in self._loaded.calls if not isinstance(c.place, Ended)}
        self._translator = Translator(APP, directory.resolve, self._new_call, callers)
        self.mind = Mind(self._loaded, directory, self._world.at)
        self._inbox.append(ConfigRead(*self._store.read_config(self._world.at)))
        self._invariants.controller_starts()

    def doom(self, point: str, nth: int) -> None:
        """Kill it the `nth` time it comes to this point."""
        self._kill_point, self._kill_in = point, nth

    def lose_events(self, nth: int, cut: Callable[[], None]) -> None:
        """Call `cut` when the `nth` request has taken effect, before its events are heard."""
        self._cut_in, self._cut = nth, cut

    def kill(self) -> None:
        """Kill -9: the socket closes; of what was planned here, only sent requests still happen."""
        if self.alive:
            self._tell("fault", f"the controller is killed: {self._kill_point}")
            self.alive = False
            self.disconnect()
            self._killed()

    def connect(self) -> None:
        """The websocket is up: look at what Asterisk holds."""
        if self.alive:
            self._asterisk.emit = self._on_wire
            self._soon(self._look)

    def disconnect(self) -> None:
        """The websocket is cut; what is in it is lost."""
        self._socket += 1
        self._asterisk.emit = None
        self.mind.lose_sight()

    def settings_changed(self) -> None:
        """Somebody wrote to the database: read the settings as soon as that can be done."""
        self._soon(self._read_settings, POLL_S)

    def _read_settings(self) -> None:
        try:
            self._put(ConfigRead(*self._store.read_config(self._world.at)))
        except StoreError:
            self.settings_changed()

    def is_at_rest(self) -> bool:
        """Sees everything, and has nothing to decide."""
        return self.alive and not self._busy and not self.mind.blind and not self._inbox

    # --- events in ---

    def _on_wire(self, event: wire.WireEvent) -> None:
        """Events of one channel keep their order; others may pass each other."""
        channel = getattr(getattr(event, "channel", None), "id", "")
        delay_s, times = self._dice.uniform(*NETWORK_S), 1
        if self._weather.events_flutter:
            delay_s += FLUTTER_S * self._dice.random() ** 4  # most come at once
            times += self._dice.random() < 0.3
        at = max(after(self._world.at, delay_s), self._last_event_at.get(channel, 0))
        self._last_event_at[channel] = at
        for _ in range(times):
            self._plan_event(at, event)

    def _plan_event(self, at: int, event: wire.WireEvent) -> None:
        socket = self._socket

        def if_open() -> None:
            if self._socket == socket:  # else it was written into a socket that is dead by now
                self._on_event(event)

        self._world.at_instant(at, if_open)

    def _on_event(self, event: wire.WireEvent) -> None:
        if isinstance(event, wire.StasisEnd | wire.ChannelDestroyed):
            self._left_at[event.channel.id] = self._world.at
        happening = self._translator.translate(event, self._world.at)
        if happening is not None:
            self._put(happening)

    def _look(self) -> None:
        """As `lookout.Lookout`: after a connect, and every LOOK_S."""
        if self._asterisk.emit is None:
            return
        if self._weather.http_lost is not None:
            self._soon(self._look, (AGAIN_S, AGAIN_S))
            return
        since_at, on_their_way = self._world.at, self.mind.rings_on_their_way()
        observed = self._asterisk.observe()
        begun = since_at, on_their_way, self.mind.sight, self._next_call
        self._soon(lambda: self._looked_at(observed, begun))

    def _looked_at(self, observed: Observed, begun: tuple[int, frozenset[LegId], int, int]) -> None:
        at, (since_at, on_their_way, sight, young_from) = self._world.at, begun
        left = {channel for channel, left_at in self._left_at.items() if left_at >= since_at}
        recover.forget_gone(self._translator.callers, observed, young_from)
        for arrived in recover.adopt(observed, self._translator, APP, at, left):
            self._put(arrived)
        self._soon(self._look, (LOOK_S, LOOK_S + 1))
        seen = recover.seen_from(observed, since_at, at, on_their_way)
        self._put(Looked(seen, sight))
        if not self._looked:
            self._settle(seen)

    def _settle(self, seen: Seen) -> None:
        live, left = self.mind.live.calls, self._left_at
        rest = recover.unfinished(self._loaded.unanswered, live, seen, seen.at, left)
        for answer in rest.answers:
            self._put(answer)
        self._looked, self._busy = True, False
        self._send_all(list(rest.again))
        self._soon(self._turn)

    def _put(self, happening: Happening) -> None:
        self._inbox.append(happening)
        self._soon(self._turn)

    # --- turns ---

    def _turn(self) -> None:
        if not self.alive or self._busy:
            return
        happened = self._inbox + self.mind.due(self._world.at)
        self._inbox = []
        if happened:
            self._busy = True
            self._try(happened)

    def _try(self, happened: list[Happening]) -> None:
        turn = self.mind.turn(happened, self._world.at)
        for fault in turn.faults:
            raise BrokenPromise(f"a fault of ours: {fault.error!r}") from fault.error
        if self._dies_at(BEFORE_COMMIT):
            return
        try:
            self._store.commit(turn.batch())
        except StoreError:
            self._endure(turn, happened)
            return
        except LostRaceError as error:  # nobody else is here who could have won it
            raise BrokenPromise(f"the belief is wrong: {error}") from error
        self._patience = None
        self._invariants.nobody_overtakes(turn, self.mind)
        self._tell_steps(turn)
        if self._dies_at(AFTER_COMMIT):
            return
        self._soon(lambda: self._committed(turn), COMMIT_S)

    def _endure(self, turn: Turn, happened: list[Happening]) -> None:
        self._patience = self._patience or Patience(PATIENCE_S, self._world.at)
        for command in self._patience.commands(self.mind, turn, self._world.at):
            self._asterisk.carry_out(requests.request(command, APP))
        self._world.soon(RETRY_S, lambda: self._again(happened))

    def _again(self, happened: list[Happening]) -> None:
        if self.alive:
            more, self._inbox = self._inbox, []
            self._try(happened + more)

    def _committed(self, turn: Turn) -> None:
        commands = self.mind.committed(turn, self._world.at)
        self._busy = False
        self._send_all(commands)
        next_at = self.mind.next_at()
        if next_at is not None:
            self._world.at_instant(next_at, self._turn)
        self._turn()

    def _dies_at(self, point: str) -> bool:
        if self._kill_point == point:
            self._kill_in -= 1
            if self._kill_in <= 0:
                self.kill()
        return not self.alive

    def _tell_steps(self, turn: Turn) -> None:
        for record in turn.batch().records:
            names = ", ".join(type(command).__name__ for command in record.commands)
            self._tell(
                "step",
                f"call {record.event.call}: {type(record.event).__name__}"
                f" {record.before or '-'} -> {record.after}"
                + (f" | {names}" if names else "")
                + (f" (ignored: {record.ignored})" if record.ignored else ""),
            )

    # --- commands out ---

    def _send_all(self, commands: list[Sent]) -> None:
        for sent in commands:
            if self._lanes.put(sent):
                self._send(sent, 0)

    def _send(self, sent: Sent, tries: int) -> None:
        """A request that is on its way arrives, even if its sender dies meanwhile."""
        if not self.alive or self._dies_at(BEFORE_REQUEST):
            return
        request = requests.request(sent.command, APP)
        if is_too_late(sent.command, self._world.at):
            self._soon(lambda: self._answered(sent, request, TOO_LATE.status, tries))
            return
        network_s = self._dice.uniform(*NETWORK_S)
        self._world.soon(network_s, lambda: self._arrives(sent, request, tries))
        self._dies_at(REQUEST_SENT)

    def _arrives(self, sent: Sent, request: Request, tries: int) -> None:
        status = self._carried_out(request)
        self._cut_in -= 1
        if self._cut_in == 0 and self._cut is not None and self.alive:
            self._cut()
        self._tell("request", f"{request.method} {request.path}: {_STATUS.get(status, status)}")
        if self.alive and not self._dies_at(REQUEST_DONE):
            self._soon(lambda: self._answered(sent, request, status, tries))

    def _carried_out(self, request: Request) -> int:
        lost = self._weather.http_lost
        if lost is None:
            return self._asterisk.carry_out(request)
        if self._dice.random() < lost:
            return UNKNOWN if self._dice.random() < 0.5 else UNSENT
        self._asterisk.carry_out(request)
        return UNKNOWN

    def _answered(self, sent: Sent, request: requests.Request, status: int, tries: int) -> None:
        if may_repeat(sent.command, status) and tries < len(PAUSES_S):
            self._world.soon(PAUSES_S[tries], lambda: self._send(sent, tries + 1))
            return
        event = _answer(sent.command, requests.outcome(request, status), self._world.at)
        self._put(Answered(sent.id, event))
        following = self._lanes.answered(sent.command.call)
        if following is not None:
            self._send(following, 0)

    # --- inside ---

    def _new_call(self) -> int:
        self._next_call += 1
        return self._next_call - 1

    def _soon(self, deed: Callable[[], None], between_s: tuple[float, float] = NETWORK_S) -> None:
        def if_alive() -> None:
            if self.alive:
                deed()

        self._world.soon(self._dice.uniform(*between_s), if_alive)


_STATUS = {UNKNOWN: "no answer", UNSENT: "not sent"}


def _answer(command: Command, outcome: Outcome, at: int) -> CommandDone | CommandFailed:
    if outcome in {Outcome.DONE, Outcome.GONE}:
        return CommandDone(at, command.call, command, gone=outcome is Outcome.GONE)
    return CommandFailed(at, command.call, command, outcome is Outcome.UNKNOWN, "simulated")
