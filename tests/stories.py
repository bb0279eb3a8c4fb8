"""Stories: calls told event by event to the real core, in a world without Asterisk or clock.

A story drives the controller's own `Turn`, so that matching, facts and the overlay are as in life;
only the commit and Asterisk are missing: what was asked of Asterisk is read with `expect`, and what
phones do is told with `rings`, `answers`, `refuses`...
"""

from dataclasses import replace

from ari_app.core import agent as core_agent
from ari_app.core.call import Call, is_over
from ari_app.core.commands import (
    AnswerCaller,
    Command,
    EndTalk,
    Guard,
    HangUpCaller,
    HangUpLeg,
    JoinTalk,
    LeaveTo,
    LegId,
    MakeTalk,
    Ring,
    RingBack,
)
from ari_app.core.events import (
    CallArrived,
    CallerLeft,
    CommandDone,
    CommandFailed,
    JoinedTalk,
    LegAnswered,
    LegDigit,
    LegEnd,
    LegEnded,
    LegRang,
    PhoneFree,
    TalkFailed,
    after,
)
from ari_app.core.plan import Device, Exit, Member, Plan, Strategy
from ari_app.runtime.directory import Directory
from ari_app.runtime.happenings import Answered, ConfigRead, Happening
from ari_app.runtime.mind import Mind
from ari_app.store.plans import Config
from ari_app.store.store import Loaded, Record, Sent

NUMBER = "+493012345"
START_AT = 1_000_000_000_000


def plan(
    *names: str,
    number: str = NUMBER,
    strategy: Strategy = Strategy.RING_ALL,
    version: int = 1,
    devices: dict[str, int] | None = None,
    confirm: tuple[str, ...] = (),
    not_ringing: tuple[str, ...] = (),
) -> Plan:
    """A number with these members, in this order; each has one phone unless `devices` says so."""
    members = tuple(
        Member(
            agent=agent_id(name),
            name=name,
            position=position,
            may_ring=name not in not_ringing,
            devices=tuple(
                Device(device_id(name, n), f"PJSIP/{name}-{n}", confirm=name in confirm)
                for n in range(1, (devices or {}).get(name, 1) + 1)
            ),
        )
        for position, name in enumerate(names, start=1)
    )
    return Plan(number, version, strategy, 20, 5, 60, Exit("nobody", number), members)


def agent_id(name: str) -> int:
    return {"ann": 1, "bob": 2, "cat": 3, "dan": 4}.get(name) or int(name.removeprefix("m")) + 10


def device_id(name: str, n: int) -> int:
    return agent_id(name) * 10 + n


class Story:
    """One or more calls, told in order. Phones are named "ann", or "ann/2" for her second."""

    def __init__(self, *plans: Plan) -> None:
        self.at = START_AT
        self.mind = Mind(Loaded((), {}, {}, (), 1, 1), Directory("DE", {}), START_AT)
        self.directory, self.live = self.mind.directory, self.mind.live
        self.asked: list[Command] = []
        self.guards: list[int] = []  # apart: they go with what is asked, and say nothing themselves
        self.sent: list[Sent] = []
        self.records: list[Record] = []
        self.attempts: list[core_agent.Attempted] = []
        self.over: dict[int, Call] = {}
        self._calls_made = 0
        self._names = {}
        self.settings_become(*plans)

    # --- the world acts ---

    def settings_become(self, *plans: Plan) -> None:
        members = [member for each in plans for member in each.members]
        self._names |= {member.agent: member.name for member in members}
        agents = {m.agent: core_agent.Agent(m.agent, idle_since_at=self.at) for m in members}
        config = Config({each.number: each for each in plans}, frozenset(agents), ())
        self.happens(ConfigRead(config, agents))

    def caller_dials(self, number: str = NUMBER) -> int:
        self._calls_made += 1
        call = self._calls_made
        self.happens(
            CallArrived(self.at, call, f"chan-{call}", number, number, "+491701234567", "Eve")
        )
        return call

    def caller_hangs_up(self, call: int = 1) -> None:
        self.happens(CallerLeft(self.at, call))

    def rings(self, *phones: str, call: int = 1) -> None:
        for phone in phones:
            self.happens(LegRang(self.at, call, self.leg(phone, call)))

    def answers(self, phone: str, call: int = 1) -> None:
        self.happens(LegAnswered(self.at, call, self.leg(phone, call)))

    def presses(self, phone: str, digit: str, call: int = 1) -> None:
        self.happens(LegDigit(self.at, call, self.leg(phone, call), digit))

    def ends(self, phone: str, end: LegEnd = LegEnd.HUNG_UP, call: int = 1) -> None:
        self.happens(LegEnded(self.at, call, self.leg(phone, call), end))

    def refuses(self, phone: str, call: int = 1) -> None:
        self.ends(phone, LegEnd.REFUSED, call)

    def enters_talk(self, phone: str | None, call: int = 1) -> None:
        leg = self.leg(phone, call) if phone else None
        self.happens(JoinedTalk(self.at, call, leg))

    def talk_fails(self, call: int = 1) -> None:
        self.happens(TalkFailed(self.at, call, self.call(call).place.until_at))

    def they_talk(self, phone: str, call: int = 1) -> None:
        """The phone answers, and both come into the bridge."""
        self.answers(phone, call)
        self.enters_talk(None, call)
        self.enters_talk(phone, call)

    def phone_is_free(self, endpoint: str) -> None:
        self.happens(PhoneFree(self.at, endpoint))

    def asterisk_did(self, kind: type[Command], *, gone: bool = False) -> None:
        sent = self._last(kind)
        done = CommandDone(self.at, sent.command.call, sent.command, gone)
        self.happens(Answered(sent.id, done))

    def asterisk_refused(self, kind: type[Command], *, unknown: bool = False) -> None:
        sent = self._last(kind)
        failed = CommandFailed(self.at, sent.command.call, sent.command, unknown, "500")
        self.happens(Answered(sent.id, failed))

    def after_s(self, seconds: float) -> "Story":
        """Time passes; every deadline on the way is kept."""
        until_at = after(self.at, seconds)
        while (next_at := self.mind.next_at()) is not None and next_at <= until_at:
            self.at = max(self.at, next_at)
            self.happens(*self.mind.due(self.at))
        self.at = until_at
        return self

    def happens(self, *happenings: Happening) -> None:
        """One turn of the controller."""
        turn = self.mind.turn(happenings, self.at)
        batch = turn.batch()
        sent = self.mind.committed(turn, self.at)
        assert turn.faults == []
        self.records += batch.records
        self.attempts += batch.attempts
        self.sent += sent
        commands = [each.command for each in sent]
        self.asked += [command for command in commands if not isinstance(command, Guard)]
        self.guards += [command.after_s for command in commands if isinstance(command, Guard)]
        self.over |= {id_: call for id_, call in turn.calls.items() if is_over(call)}

    # --- what can be seen ---

    def expect(self, *told: str) -> None:
        """Exactly this was asked of Asterisk since the last `expect`."""
        asked, self.asked = [self.say(command) for command in self.asked], []
        assert asked == list(told)

    def call(self, call: int = 1) -> Call:
        return self.over.get(call) or self.live.calls[call]

    def ended(self, call: int = 1) -> str:
        """How the call ended; it must be over, with nothing left."""
        assert call not in self.live.calls
        return str(self.over[call].place.why)

    def outcomes(self) -> list[tuple[str, str]]:
        """(agent, outcome) of every attempt so far."""
        return [(self._names[fact.agent], str(fact.outcome)) for fact in self.attempts]

    def verdicts(self) -> dict[str, str]:
        """The newest verdict of every candidate."""
        seen = [r.event.verdicts for r in self.records if hasattr(r.event, "verdicts")]
        return {verdict.name: verdict.says for verdict in seen[-1]}

    def busy(self) -> list[str]:
        """The agents who are reserved."""
        reserved = [a for a in self.live.agents.values() if a.reserved_by is not None]
        return [self._names[agent.id] for agent in reserved]

    def leg(self, phone: str, call: int = 1) -> LegId:
        """The newest leg to the phone."""
        name, _, n = phone.partition("/")
        device = device_id(name, int(n or 1))
        rung = [s.command.leg for s in self.sent if isinstance(s.command, Ring)]
        return [leg for leg in rung if leg.call == call and leg.device == device][-1]

    def say(self, command: Command) -> str:
        match command:
            case Ring(endpoint=endpoint):
                return f"ring {self._phone(endpoint.removeprefix('PJSIP/').replace('-', '/'))}"
            case HangUpLeg(leg=leg, reason=reason):
                return f"hang up {self._phone_of(leg)}: {reason}"
            case JoinTalk(leg=leg):
                return f"join {self._phone_of(leg)}"
            case LeaveTo(context=context, extension=extension):
                return f"leave to {extension}@{context}"
            case RingBack() | AnswerCaller() | MakeTalk() | EndTalk() | HangUpCaller():
                words = {"RingBack": "ring back", "AnswerCaller": "answer", "MakeTalk": "make talk"}
                words |= {"EndTalk": "end talk", "HangUpCaller": "hang up caller"}
                return words[type(command).__name__]

    def _phone_of(self, leg: LegId) -> str:
        return self._phone(f"{self._names[leg.device // 10]}/{leg.device % 10}")

    @staticmethod
    def _phone(name: str) -> str:
        return name.removesuffix("/1")

    def _last(self, kind: type[Command]) -> Sent:
        return [each for each in self.sent if isinstance(each.command, kind)][-1]


def with_number(base: Plan, number: str) -> Plan:
    """The same members on another number."""
    return replace(base, number=number, fallback=Exit("nobody", number))
