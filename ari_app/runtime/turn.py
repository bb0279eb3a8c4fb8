"""One turn of the controller: everything that happened, advanced, matched, as one batch.

A turn works on an overlay; what lies under it changes only when the batch has been committed. So a
commit that fails costs nothing: the same happenings make the same turn again. No I/O in here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ari_app.core import agent as core_agent
from ari_app.core.advance import advance, arrive
from ari_app.core.agent import Agent, Attempted, Freed
from ari_app.core.call import Call, Ringing, Waiting, is_over
from ari_app.core.commands import Command, HangUpLeg, HangUpReason, LegId, Ring
from ari_app.core.events import (
    AgentRested,
    CallArrived,
    CommandDone,
    Event,
    LegAnswered,
    PhoneRegistered,
)
from ari_app.core.giveback import give_back
from ari_app.core.match import in_line, match
from ari_app.core.reconcile import reconcile, strays
from ari_app.core.step import Step
from ari_app.runtime.directory import Directory
from ari_app.runtime.happenings import Answered, ConfigRead, Happening, Observed
from ari_app.store.store import Batch, Record, Sent


@dataclass(slots=True)
class Live:
    """What the controller believes, all of it committed."""

    calls: dict[int, Call] = field(default_factory=dict)
    agents: dict[int, Agent] = field(default_factory=dict)
    unanswered: dict[int, Command] = field(default_factory=dict)
    next_sent: int = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """`advance` raised: a bug of ours; the caller was given back to the dialplan."""

    event: Event
    error: Exception


class Turn:
    """The overlay. Use: `take` each happening, `match`, then commit `batch()`."""

    def __init__(self, live: Live, directory: Directory, at: int) -> None:
        self._live = live
        self._directory = directory
        self._at = at
        self._moved: set[str] = set()
        self._next_sent = live.next_sent
        self._batch = Batch(at)
        self.calls: dict[int, Call] = {}
        self.agents: dict[int, Agent] = {}
        self.faults: list[Fault] = []
        self.has_looked = False

    def take(self, happening: Happening) -> None:
        """Advance whatever the happening is about."""
        match happening:
            case Answered(sent, answer):
                self._batch.done.append(sent)
                self._take_event(answer)
            case ConfigRead():
                self._take_config(happening)
            case Observed(seen):
                self.has_looked = True
                for event in reconcile(list(self._all_calls()), seen, self._on_their_way()):
                    self._take_event(event)
                self._send(strays(self._all_calls(), seen))
            case PhoneRegistered(at, endpoint):
                self._wake_agent(endpoint, at)
            case AgentRested(agent=agent):
                self._moved |= self._directory.numbers_of(agent)
            case _:
                self._take_event(happening)

    def match(self) -> None:
        """Offer the lines that moved to whoever is free; once a turn, however much happened."""
        moved = {kin for number in self._moved for kin in self._directory.kin(number)}
        line = [
            (call, plan)
            for call in self._all_calls()
            if call.number in moved
            if in_line(call, plan := self._directory.plan_of(call))
        ]
        ours = self._directory.config.agents
        wanted = {member.agent for _, plan in line for member in plan.members} & ours
        agents = {agent: self._agent(agent) for agent in wanted}
        for decision in match(line, agents, self._at):
            self._take_event(decision)

    def batch(self) -> Batch:
        """What to commit."""
        self._batch.calls = [(call, self._live.calls.get(id_)) for id_, call in self.calls.items()]
        self._batch.agents = [
            (agent, before)
            for id_, agent in self.agents.items()
            if agent != (before := self._live.agents.get(id_, Agent(id_)))
        ]
        return self._batch

    def apply(self) -> list[Sent]:
        """The batch was committed: make it live. Gives the commands that may leave now."""
        live, batch = self._live, self._batch
        live.calls |= self.calls
        for id_, call in self.calls.items():
            if is_over(call):
                del live.calls[id_]
        live.agents |= self.agents
        live.next_sent = self._next_sent
        for sent in batch.done:
            live.unanswered.pop(sent, None)
        live.unanswered |= {sent.id: sent.command for sent in batch.outbox}
        return batch.outbox

    # --- one event ---

    def _take_event(self, event: Event) -> None:
        call = self.calls.get(event.call) or self._live.calls.get(event.call)
        if isinstance(event, CallArrived) and call is None:
            self._apply_step(event, None, arrive(event, self._directory.newest(event.number)))
        elif call is None:
            self._take_late(event)
        else:
            self._apply_step(event, call, self._advanced(call, event))

    def _advanced(self, call: Call, event: Event) -> Step:
        plan = self._directory.plan_of(call)
        try:
            return advance(call, event, plan)
        except Exception as error:  # noqa: BLE001 - one call's bug must not stop the others
            self.faults.append(Fault(event, error))
            return give_back(call, plan, event.at)

    def _take_late(self, event: Event) -> None:
        if isinstance(event, LegAnswered):  # a phone that nobody would ever hang up
            self._send((HangUpLeg(event.call, event.leg, HangUpReason.NORMAL),))

    def _apply_step(self, event: Event, before: Call | None, step: Step) -> None:
        call = replace(step.call, version=self._next_version(step.call.id))
        self.calls[call.id] = call
        if not step.ignored or not isinstance(event, CommandDone):
            self._batch.records.append(
                Record(event, _place(before), _place(call), step.ignored, step.commands)
            )
        self._send(step.commands)
        for fact in step.facts:
            self.agents[fact.agent] = core_agent.apply(self._agent(fact.agent), fact)
            if isinstance(fact, Attempted):
                self._batch.attempts.append(fact)
            if isinstance(fact, Freed | Attempted):  # others may hope for the agent, or no longer
                self._moved |= self._directory.numbers_of(fact.agent)
        if not step.ignored and isinstance(call.place, Waiting | Ringing):
            self._moved.add(call.number)

    def _next_version(self, call: int) -> int:
        """One version a batch: what the row will have after it."""
        before = self._live.calls.get(call)
        return before.version + 1 if before else 1

    def _send(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            self._batch.outbox.append(Sent(self._next_sent, command))
            self._next_sent += 1

    # --- what is under the overlay ---

    def _agent(self, id_: int) -> Agent:
        return self.agents.get(id_) or self._live.agents.get(id_) or Agent(id_)

    def _all_calls(self) -> Iterator[Call]:
        for id_, call in self._live.calls.items():
            yield self.calls.get(id_, call)
        for id_, call in self.calls.items():
            if id_ not in self._live.calls:
                yield call

    def _on_their_way(self) -> frozenset[LegId]:
        return frozenset(
            command.leg for command in self._live.unanswered.values() if isinstance(command, Ring)
        )

    # --- what is not about a call ---

    def _take_config(self, read: ConfigRead) -> None:
        self._directory.learn(read.config)
        for id_, agent in read.agents.items():
            self._live.agents.setdefault(id_, agent)
        self._moved |= {call.number for call in self._all_calls()}

    def _wake_agent(self, endpoint: str, at: int) -> None:
        agent = self._directory.agent_of(endpoint)
        if agent is None:
            return
        self.agents[agent] = replace(
            self._agent(agent), backoff_until_at=min(at, self._agent(agent).backoff_until_at)
        )
        self._moved |= self._directory.numbers_of(agent)


def _place(call: Call | None) -> str:
    return type(call.place).__name__ if call else ""
