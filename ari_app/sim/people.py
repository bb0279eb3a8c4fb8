"""Impatient callers and agents with tempers, on phones that do what phones do."""

from dataclasses import dataclass
from random import Random

from ari_app.ari.ids import parse_leg
from ari_app.sim.asterisk import Asterisk, Channel
from ari_app.sim.invariants import Invariants
from ari_app.sim.script import CallerItem
from ari_app.sim.world import World

REFUSALS = ((17, 486), (17, 600), (21, 603))


@dataclass(slots=True)
class Talk:
    """Two people in a bridge."""

    caller: str
    leg: str


class People:
    """Everybody who is not us. Reacts to the fake Asterisk as its `World`."""

    def __init__(self, world: World, seed: int, invariants: Invariants) -> None:
        self._world = world
        self._seed = seed
        self._invariants = invariants
        self._dice: dict[str, Random] = {}
        self._callers: dict[str, CallerItem] = {}
        self._talks: dict[str, Talk] = {}
        self._unregistered: set[str] = set()
        self.asterisk = Asterisk(self)

    # --- what the script tells people ---

    def dial(self, id_: str, item: CallerItem) -> None:
        """A caller dials; without a controller the dialplan's fallback takes the call."""
        channel = Channel(id_, "Ring", args=("in", item.number, "DE"))
        if self.asterisk.caller_dials(channel):
            self._callers[id_] = item
            self._invariants.caller_waits(id_, self._world.at)
            self._world.soon(item.patience_s, lambda: self._give_up(id_))

    def unregister(self, endpoint: str, for_s: float) -> None:
        """The phone vanishes, and comes back."""
        self._unregistered.add(endpoint)
        self.asterisk.phone_changed(endpoint)
        self._world.soon(for_s, lambda: self._is_back(endpoint))

    def forget(self) -> None:
        """Asterisk crashed: everybody's call is over."""
        self.asterisk.crashes()
        self._callers.clear()
        self._talks.clear()
        self._invariants.crashed()

    # --- what Asterisk tells people ---

    def phone_is_registered(self, endpoint: str) -> bool:
        """Is the phone there?"""
        return endpoint not in self._unregistered

    def phone_rings(self, channel: Channel) -> None:
        """The phone's agent decides by temper what to do."""
        self._invariants.phone_rings(channel.id, self.asterisk.channels)
        dice, id_ = self._dice_of(channel.endpoint), channel.id
        rings_after_s, acts_after_s = dice.uniform(0.01, 0.2), dice.expovariate(1 / 6)
        temper = dice.random()
        if temper < 0.08:  # busy, or gone without a word
            cause, sip = dice.choice((*REFUSALS, (19, 480), (23, 302)))
            self._refuse(rings_after_s, id_, cause, sip)
            return
        self._world.soon(rings_after_s, lambda: self.asterisk.phone_rang(id_))
        if temper < 0.70:
            self._world.soon(
                rings_after_s + acts_after_s, lambda: self.asterisk.phone_answered(id_)
            )
        elif temper < 0.85:
            cause, sip = dice.choice((*REFUSALS, (19, 480), (23, 302), (58, 488)))
            self._refuse(rings_after_s + acts_after_s, id_, cause, sip)

    def _refuse(self, after_s: float, id_: str, cause: int, sip: int) -> None:
        self._world.soon(after_s, lambda: self.asterisk.phone_refused(id_, cause, sip))

    def joined(self, bridge: str, channels: frozenset[str]) -> None:
        """Both are in the bridge: they talk, until one of them has had enough."""
        callers = [id_ for id_ in channels if id_ in self._callers]
        legs = [id_ for id_ in channels if parse_leg(id_) is not None]
        if not (callers and legs) or bridge in self._talks:
            return
        talk = Talk(callers[0], legs[0])
        self._talks[bridge] = talk
        self._invariants.talk_begins(talk.caller, talk.leg)
        item = self._callers[talk.caller]
        ends = talk.caller if item.caller_ends else talk.leg
        self._world.soon(item.talk_s, lambda: self._had_enough(bridge, ends))

    def caller_continues(self, channel: str, context: str) -> None:
        """The caller left us for the dialplan, which needs no controller."""
        self._invariants.caller_served(channel, f"went on to {context}")
        del self._callers[channel]
        # The fallback rings and talks by itself; in the end the channel is gone.
        self.asterisk.channels.pop(channel, None)

    def gone(self, channel: str, *, by_us: bool) -> None:
        """A channel ended, by its owner or by us."""
        self._invariants.gone(channel, by_us=by_us)
        self._callers.pop(channel, None)
        self._talks = {
            bridge: talk
            for bridge, talk in self._talks.items()
            if channel not in {talk.caller, talk.leg}
        }

    # --- inside ---

    def _is_back(self, endpoint: str) -> None:
        self._unregistered.discard(endpoint)
        self.asterisk.phone_changed(endpoint)

    def _give_up(self, id_: str) -> None:
        if id_ in self._callers and all(talk.caller != id_ for talk in self._talks.values()):
            self._invariants.owner_ends(id_)
            self.asterisk.hangs_up(id_)

    def _had_enough(self, bridge: str, who: str) -> None:
        if bridge in self._talks and who in self.asterisk.channels:
            self._invariants.owner_ends(who)
            self.asterisk.hangs_up(who)

    def _dice_of(self, endpoint: str) -> Random:
        return self._dice.setdefault(endpoint, Random(f"{self._seed} {endpoint}"))
