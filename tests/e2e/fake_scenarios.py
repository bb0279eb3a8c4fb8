"""What may happen between us and an Asterisk, told once for the real one and for the fake.

Contract: a scenario is a coroutine over a `Story`; each of its lines is one step, with one answer
and the events it causes. `tell` gives the steps in words that hold no id, so that those of two
Asterisks can be compared (tests/e2e/test_fake.py). A step ends when its events are there, so the
order of steps is the order of events; within a step the order is kept for each channel.
"""

from collections.abc import Awaitable, Callable
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
    """One line of a story: its answer, and what was told of each channel."""

    label: str
    answer: object
    told: dict[str, list[str]] = field(default_factory=dict)


class Story:
    """The lines of a scenario. `expected`: the steps of the other Asterisk, to know what to await.

    `call` is fresh for each story. The callers' channels are named after who dialled.
    """

    def __init__(self, driver: Driver, call: int, expected: list[Step] | None = None) -> None:
        self._driver = driver
        self._call = call
        self._expected = expected
        self._names: dict[str, str] = {talk_bridge(call): "talk"}
        self._told = 0
        self.steps: list[Step] = []

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

    async def phone_refused(self, who: str, sip: int) -> None:
        await self._driver.phone_refused(self._leg(who), sip)
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

    async def rings(self, who: str, timeout_s: int = 20) -> None:
        leg, phone = self._leg(who), PHONES[who]
        command = commands.Ring(
            self._call, leg, f"PJSIP/{phone}", CALLER, "Sales", timeout_s, NEVER
        )
        self._names[leg_channel(leg)] = who
        if await self._asks(command, who) == 200:
            await self._driver.phone_is_called(leg, phone)

    async def hangs_up(self, who: str, reason: HangUpReason = HangUpReason.NORMAL) -> None:
        if who in PHONES:
            command: commands.Command = commands.HangUpLeg(self._call, self._leg(who), reason)
        else:
            command = commands.HangUpCaller(self._call, self._channel(who), reason)
        await self._asks(command, who, reason)

    async def guards(self, who: str = "caller", after_s: int = 90) -> None:
        await self._asks(commands.Guard(self._call, self._channel(who), after_s), who)

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
        f"{number}. {theirs.label}: the fake {mine.answer} {mine.told},"
        f" Asterisk {theirs.answer} {theirs.told}"
        for number, (mine, theirs) in enumerate(zip(fake, real, strict=True), start=1)
        if mine != theirs
    ]


def cause(event: wire.ChannelDestroyed) -> str:
    """Not guaranteed: a 302 that is not followed ends a leg with 23/302 or with 0/0."""
    pair = f"{event.cause}/{event.tech_cause}"
    return "forwarded" if pair in {"23/302", "0/0"} and event.channel.state != "Up" else pair


Scenario = Callable[[Story], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}
REFUSALS = (486, 600, 603, 480, 408, 404, 488, 500, 503, 302)


def scenario(told: Scenario) -> Scenario:
    SCENARIOS[told.__name__] = told
    return told


# --- callers ---


@scenario
async def a_caller_arrives_and_gives_up(s: Story) -> None:
    await s.caller_dials()
    await s.looks()
    await s.rings_back()
    await s.rings_back()
    await s.guards()
    await s.guards(after_s=0)
    await s.caller_hangs_up()
    await s.looks()


@scenario
async def two_callers(s: Story) -> None:
    await s.caller_dials()
    await s.caller_dials("second")
    await s.looks()
    await s.caller_hangs_up()
    await s.looks()
    await s.caller_hangs_up("second")


@scenario
async def an_answered_caller_hangs_up(s: Story) -> None:
    await s.caller_dials()
    await s.answers()
    await s.answers()
    await s.rings_back()
    await s.looks()
    await s.caller_hangs_up()


@scenario
async def a_caller_is_hung_up_unanswered(s: Story) -> None:
    for who, reason in zip(("caller", "second", "third"), HangUpReason, strict=True):
        await s.caller_dials(who)
        await s.hangs_up(who, reason)


@scenario
async def a_caller_is_hung_up_answered(s: Story) -> None:
    for who, reason in zip(("caller", "second", "third"), HangUpReason, strict=True):
        await s.caller_dials(who)
        await s.answers(who)
        await s.hangs_up(who, reason)


@scenario
async def a_waiting_caller_goes_on_in_the_dialplan(s: Story) -> None:
    await s.caller_dials()
    await s.rings_back()
    await s.leaves()
    await s.looks()
    for asked in (s.rings_back, s.guards, s.answers, s.leaves):
        await asked()
    await s.caller_hangs_up()


@scenario
async def a_caller_who_went_on_is_hung_up_by_us(s: Story) -> None:
    await s.caller_dials()
    await s.leaves()
    await s.hangs_up("caller")
    await s.looks()


@scenario
async def a_gone_caller(s: Story) -> None:
    await s.caller_dials()
    await s.caller_hangs_up()
    for asked in (s.rings_back, s.guards, s.answers, s.leaves):
        await asked()
    await s.hangs_up("caller")


@scenario
async def a_caller_hangs_up_while_phones_ring(s: Story) -> None:
    await s.caller_dials()
    await s.rings("ann")
    await s.phone_rang("ann")
    await s.caller_hangs_up()
    await s.looks()
    await s.hangs_up("ann")


# --- legs ---


@scenario
async def a_phone_rings_and_answers(s: Story) -> None:
    await s.rings("ann")
    await s.looks()
    await s.phone_rang("ann")
    await s.phone_rang("ann")
    await s.looks()
    await s.phone_answered("ann")
    await s.looks()
    await s.phone_hangs_up("ann")
    await s.looks()


@scenario
async def a_phone_answers_without_ringing(s: Story) -> None:
    await s.rings("ann")
    await s.phone_answered("ann")
    await s.hangs_up("ann")


def refusing(sip: int, *, rang: bool) -> Scenario:
    async def told(s: Story) -> None:
        await s.rings("ann")
        if rang:
            await s.phone_rang("ann")
        await s.phone_refused("ann", sip)
        await s.looks()

    return told


for each in REFUSALS:
    SCENARIOS[f"a_phone_sends_{each}"] = refusing(each, rang=False)
    SCENARIOS[f"a_phone_sends_{each}_after_180"] = refusing(each, rang=True)


@scenario
async def nobody_answers_in_time(s: Story) -> None:
    await s.rings("ann", timeout_s=1)
    await s.phone_rang("ann")
    await s.phone_timed_out("ann")


@scenario
async def a_phone_says_nothing_at_all(s: Story) -> None:
    await s.rings("ann", timeout_s=1)
    await s.phone_timed_out("ann")


@scenario
async def a_phone_that_is_not_registered(s: Story) -> None:
    await s.rings("away")
    await s.looks()
    await s.rings("ann")
    await s.rings("ann")
    await s.rings("away")
    await s.phone_rang("ann")
    await s.hangs_up("ann")


@scenario
async def a_phone_goes_and_comes(s: Story) -> None:
    await s.phone_goes("ann")
    await s.rings("ann")
    await s.phone_comes("ann")
    await s.phone_comes("ann")
    await s.rings("ann")
    await s.phone_goes("ann")
    await s.looks()
    await s.phone_answered("ann")
    await s.phone_comes("ann")
    await s.cuts()
    await s.phone_goes("ann")
    await s.phone_comes("ann")
    await s.connects()
    await s.phone_goes("ann")


@scenario
async def the_same_leg_twice(s: Story) -> None:
    await s.rings("ann")
    await s.rings("ann")
    await s.phone_rang("ann")
    await s.phone_answered("ann")
    await s.rings("ann")
    await s.hangs_up("ann")
    await s.hangs_up("ann")


def cancelling(reason: HangUpReason, stage: str) -> Scenario:
    async def told(s: Story) -> None:
        await s.rings("ann")
        if stage != "dialled":
            await s.phone_rang("ann")
        if stage == "answered":
            await s.phone_answered("ann")
        await s.hangs_up("ann", reason)
        await s.looks()
        await s.hangs_up("ann", reason)

    return told


for why in HangUpReason:
    for stage in ("dialled", "ringing", "answered"):
        SCENARIOS[f"a_{stage}_leg_is_hung_up_{why.name.lower()}"] = cancelling(why, stage)


@scenario
async def two_phones_answer(s: Story) -> None:
    await s.rings("ann")
    await s.rings("bob")
    await s.phone_rang("bob")
    await s.phone_rang("ann")
    await s.phone_answered("ann")
    await s.phone_answered("bob")
    await s.looks()
    await s.hangs_up("bob", HangUpReason.ELSEWHERE)
    await s.phone_hangs_up("ann")


# --- talks ---


@scenario
async def the_caller_ends_the_talk(s: Story) -> None:
    await s.talks()
    await s.looks()
    await s.caller_hangs_up()
    await s.looks()
    await s.hangs_up("ann")
    await s.looks()
    await s.ends_talk()
    await s.ends_talk()
    await s.looks()


@scenario
async def the_agent_ends_the_talk(s: Story) -> None:
    await s.talks()
    await s.phone_hangs_up("ann")
    await s.looks()
    await s.ends_talk()
    await s.looks()
    await s.leaves()
    await s.looks()
    await s.caller_hangs_up()


@scenario
async def a_loser_is_cancelled_before_the_talk(s: Story) -> None:
    await s.caller_dials()
    await s.rings("ann")
    await s.rings("bob")
    await s.phone_rang("ann")
    await s.phone_rang("bob")
    await s.phone_answered("bob")
    await s.hangs_up("ann", HangUpReason.ELSEWHERE)
    await s.answers()
    await s.makes_talk()
    await s.joins("bob")
    await s.hangs_up("caller")
    await s.hangs_up("bob")
    await s.ends_talk()


@scenario
async def we_end_the_talk(s: Story) -> None:
    await s.talks()
    await s.ends_talk()
    await s.looks()
    await s.phone_hangs_up("ann")
    await s.hangs_up("caller")


@scenario
async def an_unanswered_caller_is_joined(s: Story) -> None:
    await s.caller_dials()
    await s.rings("ann")
    await s.phone_answered("ann")
    await s.makes_talk()
    await s.joins("ann")
    await s.looks()
    await s.answers()
    await s.caller_hangs_up()


@scenario
async def every_request_of_a_talk_is_repeated(s: Story) -> None:
    await s.talks()
    await s.rings_back()
    await s.answers()
    await s.makes_talk()
    await s.joins("ann")
    await s.looks()


@scenario
async def the_caller_in_a_talk_goes_on_in_the_dialplan(s: Story) -> None:
    await s.talks()
    await s.leaves()
    await s.looks()
    await s.joins("ann")
    await s.looks()
    await s.hangs_up("ann")
    await s.ends_talk()


@scenario
async def a_talk_without_a_bridge(s: Story) -> None:
    await s.caller_dials()
    await s.rings("ann")
    await s.phone_answered("ann")
    await s.joins("ann")
    await s.ends_talk()
    await s.looks()


@scenario
async def a_talk_with_a_gone_leg(s: Story) -> None:
    await s.caller_dials()
    await s.rings("ann")
    await s.phone_answered("ann")
    await s.answers()
    await s.makes_talk()
    await s.phone_hangs_up("ann")
    await s.joins("ann")
    await s.looks()
    await s.ends_talk()


@scenario
async def a_talk_with_a_gone_caller(s: Story) -> None:
    await s.caller_dials()
    await s.rings("ann")
    await s.phone_answered("ann")
    await s.answers()
    await s.makes_talk()
    await s.caller_hangs_up()
    await s.joins("ann")
    await s.looks()
    await s.hangs_up("ann")
    await s.ends_talk()


@scenario
async def a_talk_with_a_leg_that_still_rings(s: Story) -> None:
    await s.caller_dials()
    await s.rings("ann")
    await s.phone_rang("ann")
    await s.answers()
    await s.makes_talk()
    await s.joins("ann")
    await s.looks()
    await s.phone_answered("ann")
    await s.joins("ann")


@scenario
async def a_third_joins_and_the_first_leaves(s: Story) -> None:
    await s.talks()
    await s.rings("bob")
    await s.phone_answered("bob")
    await s.joins("bob")
    await s.looks()
    await s.phone_hangs_up("ann")
    await s.looks()


# --- the socket is closed for a while ---


@scenario
async def a_new_caller_while_the_socket_is_closed(s: Story) -> None:
    await s.caller_dials()
    await s.cuts()
    await s.caller_dials("second")
    await s.connects()
    await s.looks()
    await s.caller_hangs_up()
    await s.caller_hangs_up("second")


@scenario
async def a_new_caller_when_nothing_of_ours_lived(s: Story) -> None:
    await s.cuts()
    await s.caller_dials()
    await s.looks()
    await s.connects()
    await s.looks()
    await s.caller_dials("second")


@scenario
async def a_ringing_leg_survives_and_answers(s: Story) -> None:
    await s.caller_dials()
    await s.rings("ann")
    await s.phone_rang("ann")
    await s.cuts()
    await s.connects()
    await s.looks()
    await s.phone_answered("ann")


@scenario
async def a_leg_survives_alone_and_refuses(s: Story) -> None:
    await s.rings("ann")
    await s.cuts()
    await s.phone_rang("ann")
    await s.connects()
    await s.looks()
    await s.phone_refused("ann", 486)
    await s.looks()


@scenario
async def a_leg_answers_while_the_socket_is_closed(s: Story) -> None:
    await s.caller_dials()
    await s.rings("ann")
    await s.phone_rang("ann")
    await s.cuts()
    await s.phone_answered("ann")
    await s.connects()
    await s.looks()


@scenario
async def all_hang_up_while_the_socket_is_closed(s: Story) -> None:
    await s.talks()
    await s.caller_dials("second")
    await s.rings("bob")
    await s.cuts()
    await s.caller_hangs_up()
    await s.caller_hangs_up("second")
    await s.phone_refused("bob", 486)
    await s.connects()
    await s.looks()
    await s.cuts()
    await s.phone_hangs_up("ann")
    await s.connects()
    await s.looks()
    await s.ends_talk()


@scenario
async def a_talk_survives(s: Story) -> None:
    await s.talks()
    await s.cuts()
    await s.connects()
    await s.looks()
    await s.phone_hangs_up("ann")
    await s.caller_hangs_up()
    await s.ends_talk()


@scenario
async def requests_while_the_socket_is_closed(s: Story) -> None:
    await s.caller_dials()
    await s.rings("ann")
    await s.phone_answered("ann")
    await s.cuts()
    await s.answers()
    await s.makes_talk()
    await s.joins("ann")
    await s.rings("bob")
    await s.connects()
    await s.looks()
    await s.phone_rang("bob")
    await s.phone_refused("bob", 486)
    await s.leaves()
    await s.hangs_up("ann")
    await s.ends_talk()


@scenario
async def a_leg_that_is_rung_while_nothing_of_ours_lives(s: Story) -> None:
    await s.cuts()
    await s.rings("ann")
    await s.connects()
    await s.looks()
    await s.phone_rang("ann")
    await s.phone_answered("ann")
    await s.phone_hangs_up("ann")
    await s.looks()


@scenario
async def a_leg_that_is_rung_after_the_last_caller_left(s: Story) -> None:
    await s.caller_dials()
    await s.cuts()
    await s.caller_hangs_up()
    await s.rings("ann")
    await s.connects()
    await s.looks()
    await s.hangs_up("ann")
    await s.looks()


@scenario
async def a_leg_that_is_rung_while_only_a_bridge_lives(s: Story) -> None:
    await s.makes_talk()
    await s.cuts()
    await s.rings("ann")
    await s.connects()
    await s.looks()
    await s.phone_rang("ann")
    await s.phone_refused("ann", 486)
    await s.ends_talk()


@scenario
async def a_leg_that_is_rung_while_only_a_leg_lives(s: Story) -> None:
    await s.rings("ann")
    await s.cuts()
    await s.rings("bob")
    await s.connects()
    await s.phone_rang("bob")
    await s.hangs_up("bob")
    await s.phone_refused("ann", 486)


@scenario
async def a_leg_that_is_rung_while_only_an_unwatched_leg_lives(s: Story) -> None:
    await s.cuts()
    await s.rings("ann")
    await s.rings("bob")
    await s.connects()
    await s.phone_answered("ann")
    await s.cuts()
    await s.connects()
    await s.looks()
    await s.hangs_up("ann")
    await s.hangs_up("bob")
    await s.looks()


@scenario
async def a_caller_leaves_while_the_socket_is_closed(s: Story) -> None:
    await s.caller_dials()
    await s.cuts()
    await s.leaves()
    await s.connects()
    await s.looks()
    await s.caller_hangs_up()


@scenario
async def asterisk_dies(s: Story) -> None:
    await s.talks()
    await s.rings("bob")
    await s.asterisk_dies()
    await s.looks()
    await s.hangs_up("ann")
    await s.ends_talk()
    await s.joins("ann")
