"""Belief x what is really there -> the events we missed, handled by the same `advance`.

For use after a start and after each reconnect. What is younger than the observation, or still on
its way to Asterisk, is not judged by it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from ari_app.core.call import CONNECT_S, Call, Connecting, Ended, Stage, live_legs
from ari_app.core.commands import Command, EndTalk, HangUpLeg, HangUpReason, LegId
from ari_app.core.events import (
    CallerLeft,
    Event,
    JoinedTalk,
    LegAnswered,
    LegEnd,
    LegEnded,
    LegRang,
    after,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What Asterisk holds of ours; asking began at `since_at` and was over at `at`.

    `callers` are channels in our app; a talk maps to who is in its bridge, None being the caller;
    `on_their_way` are legs whose `Ring` was unanswered when asking began.
    """

    at: int
    since_at: int
    callers: frozenset[str]
    legs: Mapping[LegId, Stage]
    talks: Mapping[int, frozenset[LegId | None]]
    on_their_way: frozenset[LegId] = frozenset()


def reconcile(
    calls: Iterable[Call], seen: Seen, on_their_way: frozenset[LegId] = frozenset()
) -> tuple[Event, ...]:
    """The events that turn what we believe of the calls into what was seen."""
    young = on_their_way | seen.on_their_way
    return tuple(chain.from_iterable(_missed(call, seen, young) for call in calls))


def strays(
    calls: Iterable[Call], seen: Seen, aside: frozenset[int] = frozenset()
) -> tuple[Command, ...]:
    """What clears away the legs and bridges that no call of ours holds any more.

    Calls `aside` are not known any more, but their channels may be a talk: these are left alone.
    """
    live = {call.id: call for call in calls}
    held = {leg.id for call in live.values() for leg in live_legs(call)}
    held |= {closing.leg for call in live.values() for closing in call.closing}
    # A leg of a live call that it doesn't hold may be younger than the call we were given.
    kept = live.keys() | aside
    lone = (leg for leg in seen.legs if leg.call not in kept and leg not in held)
    hang_ups = [HangUpLeg(leg.call, leg, HangUpReason.NORMAL) for leg in sorted(lone)]
    return (*hang_ups, *(EndTalk(call) for call in sorted(seen.talks) if call not in kept))


def _missed(call: Call, seen: Seen, on_their_way: frozenset[LegId]) -> Iterator[Event]:
    at = seen.at
    if call.arrived_at >= seen.since_at:
        return
    for leg in live_legs(call):
        if leg.id not in on_their_way and leg.dialled_at < seen.since_at:
            yield from _missed_of_leg(call, leg.id, leg.stage, seen)
    for closing in call.closing:
        if closing.leg not in seen.legs and closing.leg not in on_their_way:
            yield LegEnded(at, call.id, closing.leg, LegEnd.HUNG_UP)
    began_at = after(call.place.until_at, -CONNECT_S) if isinstance(call.place, Connecting) else 0
    if isinstance(call.place, Connecting) and began_at < seen.since_at:
        yield from _missed_of_talk(call, call.place.leg.id, seen)
    if call.channel not in seen.callers and not isinstance(call.place, Ended):
        yield CallerLeft(at, call.id)


def _missed_of_talk(call: Call, leg: LegId, seen: Seen) -> Iterator[Event]:
    """They came together, or both are there and have to be brought together again."""
    together = seen.talks.get(call.id, frozenset())
    if {None, leg} <= together:
        yield JoinedTalk(seen.at, call.id, None)
        yield JoinedTalk(seen.at, call.id, leg)
    elif leg in seen.legs and call.channel in seen.callers:
        yield LegAnswered(seen.at, call.id, leg)


def _missed_of_leg(call: Call, leg: LegId, believed: Stage, seen: Seen) -> Iterator[Event]:
    match believed, seen.legs.get(leg):
        case _, None:
            yield LegEnded(seen.at, call.id, leg, LegEnd.LOST)
        case Stage.DIALLED, Stage.RANG:
            yield LegRang(seen.at, call.id, leg)
        case ((Stage.DIALLED | Stage.RANG), Stage.ANSWERED):
            yield LegAnswered(seen.at, call.id, leg)
        case _:
            pass
