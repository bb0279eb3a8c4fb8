"""From ARI's words to ours: one wire event gives one event of the core, or None.

Contract: pure apart from `callers` (the caller channels that are ours: channel id -> call id) and
`next_call_id`. None means that the event is not ours, or that we know it already. Everything a
stranger can choose (numbers, names, the dialled number) is cleaned here, before the core sees it.
"""

from collections.abc import Callable, MutableMapping

from ari_app.ari import clean, wire
from ari_app.ari.ids import parse_leg, parse_talk
from ari_app.core import events
from ari_app.core.events import LegEnd

Translated = (
    events.CallArrived
    | events.CallerLeft
    | events.LegRang
    | events.LegAnswered
    | events.LegDigit
    | events.LegEnded
    | events.JoinedTalk
    | events.PhoneFree
)

INBOUND_ARG = "in"  # Stasis(app,in,<number>,<region>) in asterisk-conf/extensions.conf
LEG_ARG = "leg"  # appArgs of what we originate

# SIP status -> how the leg ended (asterisk-probes.md section 4); any other failure is FAILED.
# 487 is a phone's answer to our own CANCEL.
_BY_SIP = {
    480: LegEnd.SILENT,
    408: LegEnd.SILENT,
    486: LegEnd.REFUSED,
    600: LegEnd.REFUSED,
    603: LegEnd.REFUSED,
    487: LegEnd.HUNG_UP,
}
# Without a SIP status the Q.850 cause decides: 16 normal and 26 answered elsewhere are our own
# hang-ups, 19 and 18 are nobody answering, 17 and 21 busy and rejected, 23 a forward. A 302 that
# is not followed often has cause 0 (35 of 120, and 235 of 300, on 22.10.1); nothing else had it
# in 60 tries each of 12 SIP statuses.
_BY_Q850 = {
    0: LegEnd.FORWARDED,
    16: LegEnd.HUNG_UP,
    26: LegEnd.HUNG_UP,
    17: LegEnd.REFUSED,
    21: LegEnd.REFUSED,
    18: LegEnd.SILENT,
    19: LegEnd.SILENT,
    23: LegEnd.FORWARDED,
}
_FREE = "NOT_INUSE"
_DIGITS = frozenset("0123456789*#ABCD")


def leg_end(cause: int, tech_cause: int, state: str) -> LegEnd:
    """How a leg ended, from ChannelDestroyed. A leg that was up has hung up, whatever the cause."""
    if state == "Up":
        return LegEnd.HUNG_UP
    if tech_cause // 100 == 3:  # noqa: PLR2004 - SIP 3xx
        return LegEnd.FORWARDED
    if tech_cause:
        return _BY_SIP.get(tech_cause, LegEnd.FAILED)
    return _BY_Q850.get(cause, LegEnd.FAILED)


class Translator:
    """Translates the events of one application.

    `resolve(dialled, region)` gives E.164, or the digits as they are when that can't be. `callers`
    is shared with recovery, which puts the callers it adopts into it.
    """

    def __init__(
        self,
        app: str,
        resolve: Callable[[str, str], str],
        next_call_id: Callable[[], int],
        callers: MutableMapping[str, int],
    ) -> None:
        self._app = app
        self._resolve = resolve
        self._next_call_id = next_call_id
        self.callers = callers
        self._states: dict[str, str] = {}  # of the phones that setup.phone_watch subscribed to

    def translate(  # noqa: PLR0911 - a table
        self, event: wire.WireEvent, at: int
    ) -> Translated | None:
        """The event in our words, seen at `at` (microseconds UTC), or None if it is not ours."""
        if event.application != self._app:
            return None
        match event:
            case wire.StasisStart():
                return self._started(event, at)
            case wire.StasisEnd():
                return self._left(event, at)
            case wire.ChannelEnteredBridge():
                return self._joined(event, at)
            case wire.DeviceStateChanged():
                return self._freed(event.device_state, at)
            case wire.ChannelStateChange() | wire.ChannelDestroyed() | wire.ChannelDtmfReceived():
                return _leg_event(event, at)
            case wire.ApplicationReplaced():
                return None  # client.run ends with Replaced

    def _started(self, event: wire.StasisStart, at: int) -> Translated | None:
        leg = parse_leg(event.channel.id)
        if leg is not None:
            return events.LegAnswered(at, leg.call, leg)
        # A channel that is in `callers` already was adopted by recovery, which told the core.
        if event.args[:1] != [INBOUND_ARG] or event.channel.id in self.callers:
            return None
        return self._arrived(event, at)

    def _arrived(self, event: wire.StasisStart, at: int) -> events.CallArrived:
        dialled, region = [*event.args[1:3], "", ""][:2]
        dialled, region = clean.number(dialled), clean.region(region)
        caller = event.channel.caller
        call = self._next_call_id()
        self.callers[event.channel.id] = call
        return events.CallArrived(
            at=at,
            call=call,
            channel=event.channel.id,
            dialled=dialled,
            number=self._in_full(dialled, region),
            caller_number=self._in_full(clean.number(caller.number), region),
            caller_name=clean.name(caller.name),
        )

    def _in_full(self, number: str, region: str) -> str:
        return self._resolve(number, region) if number else ""

    def _left(self, event: wire.StasisEnd, at: int) -> events.CallerLeft | None:
        # Legs are left out: see _leg_event. A caller has no ChannelDestroyed after StasisEnd
        # (asterisk-probes.md section 1), and one who went on in the dialplan is no longer ours.
        call = self.callers.pop(event.channel.id, None)
        return None if call is None else events.CallerLeft(at, call)

    def _joined(self, event: wire.ChannelEnteredBridge, at: int) -> events.JoinedTalk | None:
        call = parse_talk(event.bridge.id)
        if call is None or event.channel is None:
            return None
        leg = parse_leg(event.channel.id)
        owner = leg.call if leg else self.callers.get(event.channel.id)
        return events.JoinedTalk(at, call, leg) if owner == call else None

    def _freed(self, device: wire.DeviceState, at: int) -> events.PhoneFree | None:
        """A device that was away, or in a call, can be rung now; most often it was in ours.

        Of each phone the first state after our start counts as news: we don't know the one before.
        """
        before = self._states.get(device.name)
        self._states[device.name] = device.state
        is_free = device.state == _FREE and before != _FREE
        return events.PhoneFree(at, device.name) if is_free else None


def _leg_event(
    event: wire.ChannelStateChange | wire.ChannelDestroyed | wire.ChannelDtmfReceived, at: int
) -> Translated | None:
    """What happened to a leg of ours.

    A leg ends at ChannelDestroyed, not at the StasisEnd that an answered one has before it: every
    leg has exactly one, answered or not; it carries the causes; and it alone proves that the phone
    is free, which is what its agent's reservation waits for.
    """
    leg = parse_leg(event.channel.id)
    if leg is None:
        return None
    match event:
        case wire.ChannelDestroyed():
            end = leg_end(event.cause, event.tech_cause, event.channel.state)
            return events.LegEnded(at, leg.call, leg, end)
        case wire.ChannelDtmfReceived(digit=digit) if digit in _DIGITS:
            return events.LegDigit(at, leg.call, leg, digit)
        case wire.ChannelStateChange() if event.channel.state == "Ringing":
            return events.LegRang(at, leg.call, leg)
        case _:
            return None
