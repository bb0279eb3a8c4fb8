"""What must hold in every story; the first broken promise ends it.

They look at Asterisk and people, not at our own bookkeeping: what a phone or a caller would notice.
Only `nobody_is_forgotten` looks into the controller, to find a mistake before people suffer by it.
Bounds are tight on a quiet day and wider around a trouble: see `allowed_s`.
"""

from collections.abc import Callable, Iterator, Mapping

from ari_app.ari.ids import parse_leg
from ari_app.core import call as core_call
from ari_app.core.call import Call, Ended, Waiting, Why
from ari_app.core.events import MICROSECONDS, Offered, after
from ari_app.core.match import in_line, match
from ari_app.core.plan import Plan
from ari_app.runtime.mind import Mind
from ari_app.runtime.turn import Turn
from ari_app.sim.asterisk import Asterisk, Channel
from ari_app.sim.memory import Keeper
from ari_app.sim.world import World

LATE_S = 2  # for what is due at an instant
LITTER_S = 12  # for what is in the way of clearing up; a hang-up is asked again after 10 s
UNHEARD_S = 3  # the latest that events come in a blur
RECOVER_S = 70  # after each trouble, until all of it must be made good: a look every 60 s

Tell = Callable[[str, str], None]
_GAVE_UP = frozenset({Why.NO_ANSWER, Why.NOBODY_FREE, Why.ALL_DECLINED})


class BrokenPromise(AssertionError):
    """An invariant does not hold; the message says which, and for whom."""


class Invariants:
    """The promises, and what has to be remembered to check them."""

    def __init__(
        self, world: World, agent_of_device: Mapping[int, int], max_wait_s: float, tell: Tell
    ) -> None:
        self._world = world
        self._agent_of = agent_of_device
        self._max_wait_s = max_wait_s
        self._tell = tell
        self._troubles: list[tuple[int, int]] = []
        self._waiting: dict[str, int] = {}
        self._talks: dict[str, str] = {}
        self._began_at: dict[str, int] = {}
        self._blurred_until_at = 0
        self._left_at: dict[str, int] = {}
        self._fates: dict[str, tuple[frozenset[Why], int | None]] = {}
        self._rung: set[str] = set()
        self._ended_by_owner: set[str] = set()
        self._litter: dict[str, int] = {}
        self._channel_of: dict[int, str] = {}
        self.talked = 0

    # --- how much may be asked on such a day ---

    def trouble(self, away_s: float) -> None:
        """From now on something is not as it should be, for `away_s`."""
        self._troubles.append((self._world.at, after(self._world.at, away_s)))

    def blur(self, away_s: float) -> None:
        """For `away_s` events come late."""
        self.trouble(away_s)
        self._blurred_until_at = after(self._world.at, away_s)

    def allowed_s(self, since_at: int) -> float:
        """By how much the troubles since then excuse us for being late."""
        near = [t for t in self._troubles if after(t[1], RECOVER_S) >= since_at]
        return sum((until - at) / MICROSECONDS + RECOVER_S for at, until in near)

    def _is_late(self, since_at: int, bound_s: float) -> bool:
        late_s = (self._world.at - since_at) / MICROSECONDS - bound_s
        return late_s > 0 and late_s > self.allowed_s(since_at)

    # --- no agent in two calls, no phone rung twice for the same leg, none for nobody ---

    def phone_rings(self, id_: str, channels: Mapping[str, Channel]) -> None:
        """A leg is being dialled."""
        self._tell("phone", f"{id_} is dialled")
        leg = parse_leg(id_)
        assert leg is not None
        if id_ in self._rung:
            raise BrokenPromise(f"the leg {id_} rang twice")
        self._rung.add(id_)
        for other_id in channels:
            other = parse_leg(other_id)
            if other is None or other == leg:
                continue
            if other.device == leg.device:
                raise BrokenPromise(f"one phone is rung in {other_id} and in {id_}")
            agent = self._agent_of[leg.device]
            if other.call != leg.call and self._agent_of[other.device] == agent:
                raise BrokenPromise(f"agent {agent} is rung for call {leg.call} in {other_id}")
        left_at = self._left_at.get(self._channel_of.get(leg.call, ""))
        if left_at is not None and self._is_late(left_at, LATE_S):
            raise BrokenPromise(f"{id_} rings for a caller who left long ago")

    def controller_starts(self) -> None:
        """A leg that ended while nobody listened may be rung again (design.md section 7)."""
        self._rung.clear()

    # --- nobody is lost, no talk is dropped ---

    def caller_waits(self, channel: str, at: int) -> None:
        """A caller is in our hands."""
        self._tell("caller", f"{channel} dials")
        self._waiting[channel] = at

    def caller_served(self, channel: str, how: str) -> None:
        """The caller went on in the dialplan."""
        self._tell("caller", f"{channel} {how}")
        self._waiting.pop(channel, None)
        self._left_at[channel] = self._world.at
        self._fates[channel] = (_GAVE_UP, None)

    def talk_begins(self, caller: str, leg: str) -> None:
        """They hear each other."""
        self._tell("talk", f"{caller} talks with {leg}")
        self._waiting.pop(caller, None)
        self._talks[caller], self._talks[leg] = leg, caller
        self._began_at[caller] = self._began_at[leg] = self._world.at
        parsed = parse_leg(leg)
        assert parsed is not None
        self._fates[caller] = (frozenset({Why.TALKED}), self._agent_of[parsed.device])
        self.talked += 1

    def owner_ends(self, channel: str) -> None:
        """The person at this end hangs up."""
        self._tell("person", f"at {channel} hangs up")
        self._ended_by_owner.add(channel)

    def gone(self, channel: str, *, by_us: bool) -> None:
        """A channel ended: by us only if its talk is over, or there was none."""
        self._tell("channel", f"{channel} is gone{', as we asked' if by_us else ''}")
        self._left_at[channel] = self._world.at
        self._fates.setdefault(channel, (_GAVE_UP | {Why.ABANDONED}, None))
        other = self._talks.pop(channel, None)
        ended = other is None or other in self._ended_by_owner
        if by_us and not ended and not self._is_unheard(channel):
            raise BrokenPromise(f"we dropped the talk of {channel} with {other}")
        waited = self._waiting.pop(channel, None)
        if by_us and waited is not None and other is None:
            raise BrokenPromise(f"we hung up on {channel}, who was waiting")
        if other is not None and other not in self._left_at and parse_leg(other) is None:
            self._waiting[other] = self._world.at  # to be hung up, or to be given to somebody else

    def _is_unheard(self, channel: str) -> bool:
        """A talk that began in the instant we gave it up, and whose beginning we heard too late."""
        began_at = self._began_at[channel]
        return began_at < self._blurred_until_at and self._world.at < after(began_at, UNHEARD_S)

    def crashed(self) -> None:
        """Asterisk is gone: what it held is nobody's promise any more."""
        self._waiting.clear()
        self._talks.clear()

    def nobody_waits_too_long(self) -> None:
        """The longest wait has a bound."""
        for channel, since_at in self._waiting.items():
            if self._is_late(since_at, self._max_wait_s + LATE_S):
                waited_s = (self._world.at - since_at) / MICROSECONDS
                raise BrokenPromise(f"{channel} waits for {waited_s:.0f} s by now")

    def nothing_lies_about(self, asterisk: Asterisk) -> None:
        """Whatever nobody needs any more is soon cleared away."""
        self._litter = {
            what: self._litter.get(what, self._world.at) for what in self._lying_about(asterisk)
        }
        for what, since_at in self._litter.items():
            if self._is_late(since_at, LITTER_S):
                raise BrokenPromise(what)

    def _lying_about(self, asterisk: Asterisk) -> Iterator[str]:
        for id_, channel in asterisk.channels.items():
            leg = parse_leg(id_)
            if leg is None:
                continue
            caller = self._channel_of.get(leg.call, "")
            if caller not in asterisk.channels:
                yield f"{id_} outlives its caller"
            elif self._talks.get(caller, id_) in asterisk.channels.keys() - {id_}:
                yield f"{id_} is not hung up, though {caller} talks to another"
            elif channel.state == "Up" and not channel.bridge:
                yield f"{id_} was answered and hears nothing"
        for id_, members in asterisk.bridges.items():
            if len(members) < 2:
                yield f"the bridge {id_} is of no use to {members or 'anybody'}"

    # --- the order of the line ---

    def nobody_overtakes(self, turn: Turn, mind: Mind) -> None:
        """No agent is offered a later caller while an earlier one could have been offered."""
        self._channel_of |= {call.id: call.channel for call in turn.calls.values()}
        for record in turn.batch().records:
            if isinstance(record.event, Offered):
                for offer in record.event.offers:
                    self._check_order(record.event.call, offer.agent, turn, mind)

    def _check_order(self, call: int, agent: int, turn: Turn, mind: Mind) -> None:
        calls = {**mind.live.calls, **turn.calls}
        later = calls[call]
        for earlier in calls.values():
            if (earlier.arrived_at, earlier.id) >= (later.arrived_at, later.id):
                continue
            if _wants(earlier, agent, mind.directory.plan_of(earlier)):
                raise BrokenPromise(f"call {call} got agent {agent} before call {earlier.id}")

    # --- a controller at rest has nothing left to do ---

    def nobody_is_forgotten(self, mind: Mind) -> None:
        """No deadline has passed, and no call and agent could be brought together now."""
        line = []
        for call in mind.live.calls.values():
            wake_at = core_call.wake_at(call)
            if wake_at is not None and self._world.at - wake_at > LATE_S * MICROSECONDS:
                raise BrokenPromise(f"call {call.id} slept through its deadline")
            if in_line(call, plan := mind.directory.plan_of(call)):
                line.append((call, plan))
        agents = {id_: mind.live.agents[id_] for id_ in mind.directory.config.agents}
        for owed in match(line, agents, self._world.at):
            raise BrokenPromise(f"call {owed.call} is owed {type(owed).__name__}")

    # --- in the end ---

    def all_is_clean(self, asterisk: Asterisk, store: Keeper) -> None:
        """Everybody has gone home: nothing of ours is left anywhere, and the history is true."""
        kept = store.left()
        left = {
            "channels": sorted(asterisk.channels),
            "bridges": sorted(asterisk.bridges),
            "live calls": [f"{call.id} {type(call.place).__name__}" for call in kept.live],
            "reserved agents": list(kept.reserved),
            "commands": [f"{sent.id} {sent.command}" for sent in kept.commands],
        }
        found = {what: which for what, which in left.items() if which}
        if found:
            raise BrokenPromise(f"left behind: {found}")
        self._history_is_true(kept.over)

    def _history_is_true(self, over: tuple[Call, ...]) -> None:
        """Each caller is in the history once; on a quiet day with what really became of them."""
        channels = [call.channel for call in over]
        twice = {channel for channel in channels if channels.count(channel) > 1}
        if twice:
            raise BrokenPromise(f"twice in the history: {sorted(twice)}")
        if self._troubles:
            return
        if missing := self._fates.keys() - set(channels) - {c for c in self._fates if parse_leg(c)}:
            raise BrokenPromise(f"not in the history: {sorted(missing)}")
        for call in over:
            whys, agent = self._fates[call.channel]
            assert isinstance(call.place, Ended)
            if call.place.why not in whys or call.answered_by != agent:
                said = f"{call.place.why} with {call.answered_by}"
                raise BrokenPromise(f"the history of {call.channel} says {said}")


def _wants(call: Call, agent: int, plan: Plan) -> bool:
    """Could this call have been offered to the agent, who was not asked for it before?"""
    if not isinstance(call.place, Waiting):
        return False
    member = next((m for m in plan.members if m.agent == agent), None)
    asked_before = any(asked.agent == agent for asked in call.asked)
    return member is not None and member.may_ring and bool(member.devices) and not asked_before
