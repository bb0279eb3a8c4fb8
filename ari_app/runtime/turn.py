"""One turn of the controller: everything that happened, advanced, matched, as one batch.

A turn works on an overlay; what lies under it changes only when the batch has been committed. So a
commit that fails costs nothing: the same happenings make the same turn again. No I/O in here.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from ari_app.core import agent as core_agent
from ari_app.core.advance import advance, arrive
from ari_app.core.agent import Agent, Attempted, Freed, Outcome
from ari_app.core.call import Call, Ringing, Waiting, asked_of, is_over
from ari_app.core.commands import Command, HangUpLeg, HangUpReason, LegId, Ring
from ari_app.core.events import (
    AgentRested,
    CallArrived,
    CommandDone,
    DeadlineReached,
    Event,
    LegAnswered,
    PhoneBack,
    PhoneFree,
)
from ari_app.core.giveback import give_back
from ari_app.core.match import in_line, match
from ari_app.core.plan import Plan
from ari_app.core.reconcile import Seen, reconcile, strays
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
    aside: frozenset[int] = frozenset()  # calls that could not be read: their channels are left


@dataclass(frozen=True, slots=True)
class Fault:
    """The core raised: a bug of ours. The callers it was about were given back to the dialplan."""

    call: int
    error: Exception


class Turn:
    """The overlay. Use: `take` each happening, `match`, then commit `batch()`."""

    def __init__(self, live: Live, directory: Directory, at: int) -> None:
        self._live = live
        self._directory = directory
        self._at = at
        self._moved: set[str] = set()
        self._moved_agents: set[int] = set()
        self._next_sent = live.next_sent
        self._batch = Batch(at)
        self.calls: dict[int, Call] = {}
        self.agents: dict[int, Agent] = {}
        self.faults: list[Fault] = []
        self.looked_at: int | None = None  # which sight the newest look was of

    def take(self, happening: Happening) -> None:
        """Advance whatever the happening is about."""
        match happening:
            case Answered(sent, answer):
                self._batch.done.append(sent)
                self._take_event(answer)
            case ConfigRead():
                self._take_config(happening)
            case Observed(seen, sight):
                self.looked_at = sight
                self._take_observed(seen)
            case PhoneFree(at, endpoint):
                self._wake_agent(endpoint, at)
            case AgentRested(agent=agent):
                self._moved_agents.add(agent)
            case _:
                self._take_event(happening)

    def match(self) -> None:
        """Offer the lines that moved to whoever is free; once a turn, however much happened."""
        if not self._moved and not self._moved_agents:
            return
        waiting = [
            (call, plan)
            for call in self._all_calls()
            if in_line(call, plan := self._directory.plan_of(call))
        ]
        one_line = _related((p for _, p in waiting), self._moved, self._moved_agents)
        line = [(call, plan) for call, plan in waiting if _key(plan) in one_line]
        ours = self._directory.config.agents
        wanted = {member.agent for _, plan in line for member in plan.members} & ours
        agents = {agent: self._agent(agent) for agent in wanted}
        try:
            decisions = match(line, agents, self._at)
        except Exception as error:  # noqa: BLE001 - or one odd call would stop every other
            decisions = ()
            for call, plan in line:
                self.faults.append(Fault(call.id, error))
                self._apply_step(
                    DeadlineReached(self._at, call.id), call, self._give_back(call, plan)
                )
        for decision in decisions:
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
            self.faults.append(Fault(call.id, error))
            return self._give_back(call, plan)

    def _give_back(self, call: Call, plan: Plan) -> Step:
        return give_back(call, plan, self._at)

    def _take_late(self, event: Event) -> None:
        is_ours = event.call not in self._live.aside
        if isinstance(event, LegAnswered) and is_ours:  # a phone that nobody would ever hang up
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
                self._moved_agents.add(fact.agent)
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

    def _take_observed(self, seen: Seen) -> None:
        for call in list(self._all_calls()):
            try:
                missed = reconcile([call], seen, self._on_their_way())
            except Exception as error:  # noqa: BLE001 - the others are to be looked at all the same
                self.faults.append(Fault(call.id, error))
                continue
            for event in missed:
                self._take_event(event)
        self._send(strays(self._all_calls(), seen, self._live.aside))

    def _take_config(self, read: ConfigRead) -> None:
        self._directory.learn(read.config)
        for id_, agent in read.agents.items():
            self._live.agents.setdefault(id_, agent)
        self._moved |= {call.number for call in self._all_calls()}

    def _wake_agent(self, endpoint: str, at: int) -> None:
        id_ = self._directory.agent_of(endpoint)
        if id_ is None:
            return
        agent = self._agent(id_)
        if agent.backoff_until_at > at:
            self.agents[id_] = replace(agent, backoff_until_at=at)
        self._moved_agents.add(id_)
        for call in list(self._all_calls()):
            asked = asked_of(call, id_)
            if asked is not None and asked.outcome in {Outcome.BUSY, Outcome.UNREACHABLE}:
                self._take_event(PhoneBack(at, call.id, id_))


def _key(plan: Plan) -> tuple[str, int]:
    return plan.number, plan.version


def _related(
    plans: Iterable[Plan], numbers: Collection[str], agents: Collection[int]
) -> set[tuple[str, int]]:
    """The plans that moved, and all that share agents with them, directly or through others.

    Their callers stand in one line: an agent goes to whoever came first (design.md section 6). The
    callers' own plans count: a caller keeps the members of the time of the call.
    """
    left = {_key(plan): plan for plan in plans}
    found: set[tuple[str, int]] = set()
    reached = set(agents)
    while True:
        more = [
            key
            for key, plan in left.items()
            if plan.number in numbers or any(m.agent in reached for m in plan.members)
        ]
        if not more:
            return found
        found.update(more)
        reached.update(m.agent for key in more for m in left.pop(key).members)


def _place(call: Call | None) -> str:
    return type(call.place).__name__ if call else ""
