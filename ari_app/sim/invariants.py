"""What must hold in every story; the first broken promise ends it.

They look at Asterisk and people, not at our own bookkeeping: what a phone or a caller would notice.
"""

from collections.abc import Mapping

from ari_app.ari.ids import parse_leg
from ari_app.core.call import Call, Waiting
from ari_app.core.events import MICROSECONDS, Offered
from ari_app.core.plan import Plan
from ari_app.runtime.mind import Mind
from ari_app.runtime.turn import Turn
from ari_app.sim.asterisk import Asterisk, Channel
from ari_app.sim.memory import MemoryStore

SLACK_S = 30  # beyond max_wait_s, for what we may do before and after, and for our absence


class BrokenPromise(AssertionError):
    """An invariant does not hold; the message says which, and for whom."""


class Invariants:
    """The promises, and what has to be remembered to check them."""

    def __init__(self, agent_of_device: Mapping[int, int], max_wait_s: float) -> None:
        self._agent_of = agent_of_device
        self._max_wait_s = max_wait_s
        self._waiting: dict[str, int] = {}
        self._talks: dict[str, str] = {}
        self._rung: set[str] = set()
        self._ended_by_owner: set[str] = set()
        self.away_s = 0.0
        self.talked = 0

    # --- no agent in two calls, no phone rung twice for the same leg ---

    def phone_rings(self, id_: str, channels: Mapping[str, Channel]) -> None:
        """A leg is being dialled."""
        leg = parse_leg(id_)
        assert leg is not None
        if id_ in self._rung:
            raise BrokenPromise(f"the leg {id_} rang twice")
        self._rung.add(id_)
        for other_id in channels:
            other = parse_leg(other_id)
            if other is None or other.call == leg.call:
                continue
            if self._agent_of[other.device] == self._agent_of[leg.device]:
                agent = self._agent_of[leg.device]
                raise BrokenPromise(f"agent {agent} is rung for call {leg.call} in {other_id}")

    def killed(self) -> None:
        """A leg that ended while nobody listened may be rung again (design.md section 7)."""
        self._rung.clear()

    # --- nobody is lost, no talk is dropped ---

    def caller_waits(self, channel: str, at: int) -> None:
        """A caller is in our hands."""
        self._waiting[channel] = at

    def caller_served(self, channel: str, _: str) -> None:
        """The caller talks, or went on in the dialplan."""
        self._waiting.pop(channel, None)

    def talk_begins(self, caller: str, leg: str) -> None:
        """They hear each other."""
        self._waiting.pop(caller, None)
        self._talks[caller], self._talks[leg] = leg, caller
        self.talked += 1

    def owner_ends(self, channel: str) -> None:
        """The person at this end hangs up."""
        self._ended_by_owner.add(channel)

    def gone(self, channel: str, *, by_us: bool) -> None:
        """A channel ended: by us only if its talk is over, or there was none."""
        other = self._talks.pop(channel, None)
        if by_us and other is not None and other not in self._ended_by_owner:
            raise BrokenPromise(f"we dropped the talk of {channel} with {other}")
        waited = self._waiting.pop(channel, None)
        if by_us and waited is not None:
            raise BrokenPromise(f"we hung up on {channel}, who was waiting")

    def crashed(self) -> None:
        """Asterisk is gone: what it held is nobody's promise any more."""
        self._waiting.clear()
        self._talks.clear()

    def nobody_waits_too_long(self, at: int) -> None:
        """The longest wait, our absence added, has a bound."""
        bound_s = self._max_wait_s + self.away_s + SLACK_S
        for channel, since_at in self._waiting.items():
            if at - since_at > bound_s * MICROSECONDS:
                raise BrokenPromise(f"{channel} waits longer than {bound_s:.0f} s")

    # --- the order of the line ---

    def nobody_overtakes(self, turn: Turn, mind: Mind) -> None:
        """No agent is offered a later caller while an earlier one could have been offered."""
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

    # --- in the end ---

    def all_is_clean(self, asterisk: Asterisk, store: MemoryStore) -> None:
        """Everybody has gone home: nothing of ours is left anywhere."""
        left = {
            "channels": sorted(asterisk.channels),
            "bridges": sorted(asterisk.bridges),
            "live calls": [f"{c.id} {type(c.place).__name__}" for c in store.calls.values()],
            "reserved agents": [a.id for a in store.agents.values() if a.reserved_by is not None],
            "commands": [f"{id_} {command}" for id_, command in store.outbox.items()],
        }
        found = {what: which for what, which in left.items() if which}
        if found:
            raise BrokenPromise(f"left behind: {found}")


def _wants(call: Call, agent: int, plan: Plan) -> bool:
    """Could this call have been offered to the agent, who was not asked for it before?"""
    if not isinstance(call.place, Waiting):
        return False
    member = next((m for m in plan.members if m.agent == agent), None)
    asked_before = any(attempt.agent == agent for attempt in call.attempts)
    return member is not None and member.may_ring and bool(member.devices) and not asked_before
