"""A scenario's lines, played on one Asterisk and written down without ids.

Contract: each method of a `Story` is one step with one answer and the events that it causes
(`talks` is several). A step ends when its events are there; `differences` compares two Asterisks'
steps in order, and within a step each channel's events in order.
"""

from dataclasses import dataclass, field
from typing import Protocol

from ari_app.ari import wire
from ari_app.ari.ids import leg_channel, talk_bridge
from ari_app.ari.observe import Observed
from ari_app.ari.requests import Request, request
from ari_app.core import commands
from ari_app.core.commands import HangUpReason, LegId
from ari_app.sim.asterisk import APP

NUMBER, CALLER = "+4930123456", "+4917012345"
PHONES = {"ann": "p01", "bob": "p02", "away": "p03"}  # `away` never registers
NEVER = 2**62


class Driver(Protocol):
    """One Asterisk with its phones and callers, real or fake. `seen` grows with each event."""

    seen: list[wire.WireEvent]

    async def connects(self) -> None: ...
    async def cuts(self) -> None: ...
    async def carries_out(self, request: Request) -> int: ...
    async def observes(self) -> Observed: ...
    async def dies(self) -> None: ...
    async def caller_dials(self, who: str) -> bool: ...
    async def caller_hangs_up(self, who: str) -> None: ...
    async def hears_ringing(self, who: str) -> None: ...
    async def phone_is_called(self, leg: LegId, phone: str) -> None: ...
    async def phone_rang(self, leg: LegId) -> None: ...
    async def phone_answered(self, leg: LegId) -> None: ...
    async def phone_refused(self, leg: LegId, sip: int) -> None: ...
    async def phone_timed_out(self, leg: LegId) -> None: ...
    async def phone_hangs_up(self, leg: LegId) -> None: ...
    async def phone_registers(self, phone: str, *, comes: bool) -> None: ...
    async def settles(self, events: int) -> None:
        """Wait until that many events came in this step, and a moment longer."""


@dataclass
class Step:
    """One line of a story: its answer, what was told of each channel, who entered the bridge."""

    label: str
    answer: object
    told: dict[str, list[str]] = field(default_factory=dict)
    entered: list[str] = field(default_factory=list)


class Story:
    """The lines of a scenario. `expected`: the steps of the other Asterisk, to know what to await.

    `call` is fresh for each story. The callers' channels are named after who dialled.
    """

    def __init__(self, driver: Driver, call: int, expected: list[Step] | None = None) -> None:
        self._driver = driver
        self._call = call
        self._expected = expected
        self._names: dict[str, str] = {talk_bridge(call): "talk"}
        self.steps: list[Step] = []

    async def tell(self, deeds: list[list[str]]) -> list[Step]:
        """Play a scenario: each deed is a method's name and its arguments."""
        for name, *about in deeds:
            await getattr(self, name)(*about)
        return self.steps

    # --- people ---

    async def caller_dials(self, who: str = "caller") -> None:
        taken = await self._driver.caller_dials(who)
        await self._ends(f"{who} dials", "in the app" if taken else "in the dialplan", who)

    async def caller_hangs_up(self, who: str = "caller") -> None:
        await self._driver.caller_hangs_up(who)
        await self._ends(f"{who} hangs up")

    async def phone_rang(self, who: str) -> None:
        await self._driver.phone_rang(self._leg(who))
        await self._ends(f"{who}'s phone sends 180")

    async def phone_answered(self, who: str) -> None:
        await self._driver.phone_answered(self._leg(who))
        await self._ends(f"{who} answers")

    async def phone_refused(self, who: str, sip: str) -> None:
        await self._driver.phone_refused(self._leg(who), int(sip))
        await self._ends(f"{who}'s phone sends {sip}")

    async def phone_timed_out(self, who: str) -> None:
        await self._driver.phone_timed_out(self._leg(who))
        await self._ends(f"nobody answers {who}'s phone")

    async def phone_hangs_up(self, who: str) -> None:
        await self._driver.phone_hangs_up(self._leg(who))
        await self._ends(f"{who} hangs up")

    async def phone_comes(self, who: str) -> None:
        await self._driver.phone_registers(PHONES[who], comes=True)
        await self._ends(f"{who}'s phone registers")

    async def phone_goes(self, who: str) -> None:
        await self._driver.phone_registers(PHONES[who], comes=False)
        await self._ends(f"{who}'s phone goes away")

    # --- the socket, and Asterisk itself ---

    async def cuts(self) -> None:
        await self._driver.cuts()
        await self._ends("the socket closes")

    async def connects(self) -> None:
        await self._driver.connects()
        await self._ends("the socket is back")

    async def asterisk_dies(self) -> None:
        await self._driver.dies()
        await self._ends("Asterisk was killed, and is back")

    async def looks(self) -> None:
        seen = await self._driver.observes()
        channels = {
            self._name(c.id): (
                c.state,
                "in the app" if c.in_app else "not in the app",
                *c.args,
                f"{c.caller.name} <{c.caller.number}>",
            )
            for c in seen.channels.values()
        }
        bridges = {
            self._name(bridge): sorted(map(self._name, members))
            for bridge, members in seen.bridges.items()
        }
        await self._ends("observe", (dict(sorted(channels.items())), bridges))

    # --- what we ask ---

    async def rings_back(self, who: str = "caller") -> None:
        if await self._asks(commands.RingBack(self._call, self._channel(who)), who) == 204:
            await self._driver.hears_ringing(who)

    async def rings(self, who: str, timeout_s: str = "20") -> None:
        leg, phone = self._leg(who), PHONES[who]
        command = commands.Ring(
            self._call, leg, f"PJSIP/{phone}", CALLER, "Sales", int(timeout_s), NEVER
        )
        self._names[leg_channel(leg)] = who
        if await self._asks(command, who) == 200:
            await self._driver.phone_is_called(leg, phone)

    async def hangs_up(self, who: str, why: str = "NORMAL") -> None:
        reason = HangUpReason[why]
        if who in PHONES:
            command: commands.Command = commands.HangUpLeg(self._call, self._leg(who), reason)
        else:
            command = commands.HangUpCaller(self._call, self._channel(who), reason)
        await self._asks(command, who, reason)

    async def guards(self, after_s: str = "90") -> None:
        channel = self._channel("caller")
        await self._asks(commands.Guard(self._call, channel, int(after_s)), after_s)

    async def answers(self, who: str = "caller") -> None:
        await self._asks(commands.AnswerCaller(self._call, self._channel(who)), who)

    async def makes_talk(self) -> None:
        await self._asks(commands.MakeTalk(self._call))

    async def joins(self, leg: str, caller: str = "caller") -> None:
        channel = self._channel(caller)
        command = commands.JoinTalk(self._call, channel, self._leg(leg), NEVER)
        await self._asks(command, caller, leg)

    async def ends_talk(self) -> None:
        await self._asks(commands.EndTalk(self._call))

    async def leaves(self, who: str = "caller", context: str = "nobody") -> None:
        command = commands.LeaveTo(self._call, self._channel(who), context, NUMBER)
        await self._asks(command, who)

    # --- several lines in one ---

    async def talks(self, leg: str = "ann") -> None:
        """From the caller's first ring to the talk."""
        await self.caller_dials()
        await self.rings_back()
        await self.rings(leg)
        await self.phone_rang(leg)
        await self.phone_answered(leg)
        await self.answers()
        await self.makes_talk()
        await self.joins(leg)

    # --- inside ---

    def _leg(self, who: str) -> LegId:
        return LegId(self._call, 1 + list(PHONES).index(who), 1)

    def _channel(self, who: str) -> str:
        found = [id_ for id_, name in self._names.items() if name == who]
        return found[0] if found else "no-such-channel"

    def _name(self, id_: str) -> str:
        return self._names.get(id_, f"a stranger {id_}")

    async def _asks(self, command: commands.Command, *about: str) -> int:
        status = await self._driver.carries_out(request(command, APP))
        await self._ends(f"{type(command).__name__} {' '.join(about)}".strip(), status)
        return status

    async def _ends(self, label: str, answer: object = None, newcomer: str = "") -> None:
        number = len(self.steps)
        awaited = 0
        if self._expected is not None and number < len(self._expected):
            awaited = sum(map(len, self._expected[number].told.values()))
        await self._driver.settles(awaited)
        step = Step(label, answer)
        for event in self._driver.seen:
            if newcomer and isinstance(event, wire.StasisStart):
                self._names.setdefault(event.channel.id, newcomer)
            who, what = self._in_words(event)
            step.told.setdefault(who, []).append(what)
            if isinstance(event, wire.ChannelEnteredBridge):
                step.entered.append(who)
        self._driver.seen.clear()
        self.steps.append(step)

    def _in_words(self, event: wire.WireEvent) -> tuple[str, str]:
        if isinstance(event, wire.DeviceStateChanged):
            return event.device_state.name, event.device_state.state
        channel = getattr(event, "channel", None)
        if channel is None or event.application != APP:
            return "-", repr(event)
        words = [type(event).__name__, channel.state]
        match event:
            case wire.StasisStart():
                words += event.args
            case wire.ChannelDestroyed():
                words.append(cause(event))
            case wire.ChannelEnteredBridge():
                words.append(self._name(event.bridge.id))
        if self._name(channel.id) not in PHONES:
            words.append(channel.caller.number)
        return self._name(channel.id), " ".join(words)


def differences(fake: list[Step], real: list[Step]) -> list[str]:
    """The steps that differ, both ways."""
    assert len(fake) == len(real)
    return [
        f"{number}. {theirs.label}: the fake {mine.answer} {mine.told} {mine.entered},"
        f" Asterisk {theirs.answer} {theirs.told} {theirs.entered}"
        for number, (mine, theirs) in enumerate(zip(fake, real, strict=True), start=1)
        if mine != theirs
    ]


def cause(event: wire.ChannelDestroyed) -> str:
    """Q.850 and SIP; a 302 that is not followed gives 23/302 or, as often, 0/0."""
    pair = f"{event.cause}/{event.tech_cause}"
    return "forwarded" if pair in {"23/302", "0/0"} and event.channel.state != "Up" else pair
