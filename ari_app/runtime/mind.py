"""The controller without its loop: what it believes, what it plans to wake for, and its turns.

No I/O and no asyncio, so that the simulator drives this very object under its own clock.
"""

from collections.abc import Iterable

from ari_app.core import agent as core_agent
from ari_app.core import call as core_call
from ari_app.core.agent import Agent
from ari_app.core.call import Call, Connecting, Ringing, Waiting
from ari_app.core.commands import Command, LegId, Ring
from ari_app.core.events import AgentRested, DeadlineReached, after
from ari_app.core.giveback import give_back
from ari_app.runtime.clock import Deadlines
from ari_app.runtime.directory import Directory
from ari_app.runtime.happenings import Happening
from ari_app.runtime.turn import Live, Turn
from ari_app.store.store import Loaded, Sent


class Patience:
    """How long a database may stay away before nobody is kept waiting for it.

    Callers who wait are then given back to the dialplan, past the database and once each; what
    happened is committed when it is back. A talk is left alone.
    """

    def __init__(self, patience_s: float, at: int) -> None:
        self.away_at = at
        self.given_back: set[int] = set()
        self._ends_at = after(at, patience_s)

    def commands(self, mind: "Mind", turn: Turn, at: int) -> list[Command]:
        """What to send now, unrecorded; nothing while there is patience."""
        if at < self._ends_at:
            return []
        found: list[Command] = []
        for call in (mind.live.calls | turn.calls).values():
            waits = isinstance(call.place, Waiting | Ringing | Connecting)
            if waits and call.id not in self.given_back:
                self.given_back.add(call.id)
                found += give_back(call, mind.directory.plan_of(call), at).commands
        return found


class Mind:
    """One controller's belief. Use: `turn`, commit its batch, then `committed`.

    While it is `blind` (no event reaches us) no deadline is due: what we are waiting for may have
    happened. It sees again with the next `Observed`, which is reconciled first.
    """

    def __init__(self, loaded: Loaded, directory: Directory, at: int) -> None:
        self.directory = directory
        self.blind = False
        self.sight = 0  # counts how often we lost it
        self.live = Live(
            {call.id: call for call in loaded.calls},
            dict(loaded.agents),
            {sent.id: sent.command for sent in loaded.unanswered},
            loaded.next_sent,
            frozenset(loaded.aside),
        )
        self._deadlines = Deadlines()
        self._schedule(self.live.calls.values(), self.live.agents.values(), at)

    def next_at(self) -> int | None:
        """When something is due, or None."""
        return None if self.blind else self._deadlines.next_at()

    def due(self, at: int) -> list[Happening]:
        """What is due by now; each is told once."""
        if self.blind:
            return []
        return [
            DeadlineReached(at, id_) if kind == "call" else AgentRested(at, id_)
            for kind, id_ in self._deadlines.due(at)
        ]

    def lose_sight(self) -> None:
        """No event reaches us; only a look that begins after this one gives us sight again."""
        self.blind = True
        self.sight += 1

    def rings_on_their_way(self) -> frozenset[LegId]:
        """The legs that Asterisk may not have heard of yet."""
        rings = (c for c in self.live.unanswered.values() if isinstance(c, Ring))
        return frozenset(ring.leg for ring in rings)

    def turn(self, happened: Iterable[Happening], at: int) -> Turn:
        """What these happenings make of the belief; nothing is changed yet."""
        turn = Turn(self.live, self.directory, at)
        for happening in happened:
            turn.take(happening)
        turn.match()
        return turn

    def committed(self, turn: Turn, at: int) -> list[Sent]:
        """The turn's batch is safe: believe it. Gives the commands that may leave now."""
        commands = turn.apply()
        self.blind = self.blind and turn.looked_at != self.sight
        self._schedule(turn.calls.values(), turn.agents.values(), at)
        return commands

    def _schedule(self, calls: Iterable[Call], agents: Iterable[Agent], at: int) -> None:
        for call in calls:
            self._deadlines.put(("call", call.id), core_call.wake_at(call))
        for agent in agents:
            self._deadlines.put(("agent", agent.id), core_agent.wake_at(agent, at))
