"""One life of a controller, from its start to its kill: the runtime's objects under the fake clock.

What `serve` does with asyncio is done here with planned deeds: a turn takes a moment to commit,
a request a moment each way, an event a moment to arrive. A killed process simply stops reacting.
"""

from collections.abc import Callable
from random import Random

from ari_app.ari import requests, wire
from ari_app.ari.observe import Observed
from ari_app.ari.requests import UNKNOWN, UNSENT, Outcome
from ari_app.ari.translate import Translator
from ari_app.core.commands import Command, is_too_late
from ari_app.core.events import CommandDone, CommandFailed
from ari_app.runtime import recover
from ari_app.runtime.directory import Directory
from ari_app.runtime.happenings import Answered, ConfigRead, Happening
from ari_app.runtime.happenings import Observed as Looked
from ari_app.runtime.mind import Mind, Patience
from ari_app.runtime.outbox import PAUSES_S, TOO_LATE, Lanes, may_repeat
from ari_app.runtime.turn import Turn
from ari_app.sim.asterisk import APP, Asterisk
from ari_app.sim.invariants import Invariants
from ari_app.sim.memory import MemoryStore
from ari_app.sim.world import World
from ari_app.store.engine import StoreError
from ari_app.store.store import Sent

PATIENCE_S = 10.0
LOOK_S = 60.0
RETRY_S = 0.25
NETWORK_S = (0.0002, 0.004)
COMMIT_S = (0.0001, 0.003)


class Process:
    """A controller that lives until `kill`."""

    def __init__(
        self,
        world: World,
        asterisk: Asterisk,
        store: MemoryStore,
        invariants: Invariants,
        dice: Random,
        killed: Callable[[], None],
    ) -> None:
        self._world = world
        self._asterisk = asterisk
        self._store = store
        self._invariants = invariants
        self._dice = dice
        self._killed = killed
        self.alive = True
        self.kill_point = ""
        self.http_is_dead = False
        self._inbox: list[Happening] = []
        self._lanes = Lanes()
        self._busy = True
        self._looked = False
        self._patience: Patience | None = None
        self._last_event_at: dict[str, int] = {}
        self._start()

    def _start(self) -> None:
        self._store.take_over()
        self._loaded = self._store.load()
        directory = Directory("DE", self._loaded.plans)
        self._next_call = self._loaded.next_call
        callers = {call.channel: call.id for call in self._loaded.calls}
        self._translator = Translator(APP, directory.resolve, self._new_call, callers)
        self.mind = Mind(self._loaded, directory, self._world.at)
        self._inbox.append(ConfigRead(*self._store.read_config(self._world.at)))

    def kill(self) -> None:
        """Kill -9: the socket closes, and nothing that was planned here happens any more."""
        if self.alive:
            self.alive = False
            self._invariants.killed()
            self.disconnect()
            self._killed()

    def connect(self) -> None:
        """The websocket is up: look at what Asterisk holds."""
        if self.alive:
            self._asterisk.emit = self._on_wire
            self._soon(self._look)

    def disconnect(self) -> None:
        """The websocket is cut."""
        self._asterisk.emit = None
        self.mind.blind = True

    # --- events in ---

    def _on_wire(self, event: wire.WireEvent) -> None:
        """Events of one channel keep their order; others may pass each other."""
        channel = getattr(getattr(event, "channel", None), "id", "")
        delay = round(self._dice.uniform(*NETWORK_S) * 1e6)
        at = max(self._world.at + delay, self._last_event_at.get(channel, 0))
        self._last_event_at[channel] = at
        self._world.at_instant(at, lambda: self._on_event(event))

    def _on_event(self, event: wire.WireEvent) -> None:
        if not self.alive or self._asterisk.emit is None:
            return  # written into a socket that is dead by now
        happening = self._translator.translate(event, self._world.at)
        if happening is not None:
            self._put(happening)

    def _look(self) -> None:
        """After a connect, and every LOOK_S: what was missed, or could not be cleared away."""
        if self._asterisk.emit is None:
            return
        since_at, observed = self._world.at, self._asterisk.observe()
        self._soon(lambda: self._looked_at(observed, since_at))

    def _looked_at(self, observed: Observed, since_at: int) -> None:
        at = self._world.at
        for arrived in recover.adopt(observed, self._translator, APP, at):
            self._put(arrived)
        self._soon(self._look, (LOOK_S, LOOK_S + 1))
        seen = recover.seen_from(observed, since_at, at)
        self._put(Looked(seen))
        if self._looked:
            return
        calls = {call.id: call for call in self._loaded.calls}
        rest = recover.unfinished(self._loaded.unanswered, calls, seen, at)
        for answer in rest.answers:
            self._put(answer)
        self._looked, self._busy = True, False
        self._send_all(list(rest.again))
        self._soon(self._turn)

    def _put(self, happening: Happening) -> None:
        self._inbox.append(happening)
        self._soon(self._turn)

    def wake(self) -> None:
        """A deadline may have come."""
        self._turn()

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
        if turn.faults:
            raise turn.faults[0].error
        if self._dies_at("before commit"):
            return
        try:
            self._store.commit(turn.batch())
        except StoreError:
            self._endure(turn, happened)
            return
        self._patience = None
        self._invariants.nobody_overtakes(turn, self.mind)
        if self._dies_at("after commit"):
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
        if self.kill_point == point:
            self.kill()
        return not self.alive

    # --- commands out ---

    def _send_all(self, commands: list[Sent]) -> None:
        for sent in commands:
            if self._lanes.put(sent):
                self._send(sent, 0)

    def _send(self, sent: Sent, tries: int) -> None:
        self._soon(lambda: self._arrives(sent, tries))

    def _arrives(self, sent: Sent, tries: int) -> None:
        request = requests.request(sent.command, APP)
        if is_too_late(sent.command, self._world.at):
            status = TOO_LATE.status
        elif self.http_is_dead and self._dice.random() < 0.5:
            status = UNKNOWN if self._dice.random() < 0.5 else UNSENT
        else:
            status = self._asterisk.carry_out(request)
            status = UNKNOWN if self.http_is_dead else status
        if self._dies_at("after command 1"):
            return
        if self.kill_point == "after command 2":
            self.kill_point = "after command 1"
        self._soon(lambda: self._answered(sent, request, status, tries))

    def _answered(self, sent: Sent, request: requests.Request, status: int, tries: int) -> None:
        if may_repeat(sent.command, status) and tries < len(PAUSES_S):
            self._world.soon(PAUSES_S[tries], lambda: self._retry(sent, tries + 1))
            return
        event = _answer(sent.command, requests.outcome(request, status), self._world.at)
        self._put(Answered(sent.id, event))
        following = self._lanes.answered(sent.command.call)
        if following is not None:
            self._send(following, 0)

    def _retry(self, sent: Sent, tries: int) -> None:
        if self.alive:
            self._send(sent, tries)

    # --- inside ---

    def _new_call(self) -> int:
        self._next_call += 1
        return self._next_call - 1

    def _soon(self, deed: Callable[[], None], between_s: tuple[float, float] = NETWORK_S) -> None:
        def if_alive() -> None:
            if self.alive:
                deed()

        self._world.soon(self._dice.uniform(*between_s), if_alive)


def _answer(command: Command, outcome: Outcome, at: int) -> CommandDone | CommandFailed:
    if outcome in {Outcome.DONE, Outcome.GONE}:
        return CommandDone(at, command.call, command, gone=outcome is Outcome.GONE)
    return CommandFailed(at, command.call, command, outcome is Outcome.UNKNOWN, "simulated")
