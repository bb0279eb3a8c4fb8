"""The ARI events we use, and of each only the fields we use.

Contract: `decode` never raises, whatever the frame holds. What it can't use is counted and gives
None; types and fields we don't know are skipped, so that a newer Asterisk does no harm. Field
names are checked against the running Asterisk's rest-api/events.json by tests/ari/test_contract.py.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

# A holding bridge lists all its channels in each event: some 20 bytes for each waiting caller.
MAX_FRAME_BYTES: Final = 256 * 1024


class CallerID(msgspec.Struct, frozen=True):
    """Name and number as the other side claims them."""

    name: str = ""
    number: str = ""


class Channel(msgspec.Struct, frozen=True):
    """One channel; `state` is Down, Ring (it calls us), Ringing (we call it), Up, ..."""

    id: str
    state: str
    caller: CallerID = CallerID()


class Bridge(msgspec.Struct, frozen=True):
    """One bridge."""

    id: str


class DeviceState(msgspec.Struct, frozen=True):
    """A device, named like its endpoint ("PJSIP/name"), and NOT_INUSE, UNAVAILABLE, BUSY, ..."""

    name: str
    state: str


class Event(msgspec.Struct, frozen=True, tag_field="type", tag=True):
    """Common to all events; the struct's name is ARI's `type`."""

    application: str


class StasisStart(Event, frozen=True):
    """A channel entered our application: a caller, or an originated leg that answered."""

    args: list[str]
    channel: Channel


class StasisEnd(Event, frozen=True):
    """A channel left our application."""

    channel: Channel


class ChannelStateChange(Event, frozen=True):
    """A channel's state changed."""

    channel: Channel


class ChannelDestroyed(Event, frozen=True):
    """A channel is gone. `cause` is Q.850; `tech_cause` is SIP's, absent for our own hang-ups."""

    cause: int
    channel: Channel
    tech_cause: int = 0


class ChannelDtmfReceived(Event, frozen=True):
    """A key was pressed and released."""

    digit: str
    channel: Channel


class ChannelEnteredBridge(Event, frozen=True):
    """A channel is in a bridge."""

    bridge: Bridge
    channel: Channel | None = None


class DeviceStateChanged(Event, frozen=True):
    """A phone registered or went away, began or ended a call."""

    device_state: DeviceState


class ApplicationReplaced(Event, frozen=True):
    """Another controller connected with our application's name; we get no more events."""


WireEvent = (
    StasisStart
    | StasisEnd
    | ChannelStateChange
    | ChannelDestroyed
    | ChannelDtmfReceived
    | ChannelEnteredBridge
    | DeviceStateChanged
    | ApplicationReplaced
)


@dataclass(slots=True)
class Counts:
    """How many frames were read, by what became of them; only ever grows."""

    decoded: int = 0
    unknown: int = 0  # a type we don't use
    malformed: int = 0  # not JSON, or a type we use without what it must have
    too_long: int = 0


class _Typed(msgspec.Struct):
    type: str


_EVENT = msgspec.json.Decoder(WireEvent)
_TYPED = msgspec.json.Decoder(_Typed)
_USED = frozenset(kind.__name__ for kind in WireEvent.__args__)
# RecursionError: brackets nested thousands deep in a field we skip.
_BAD = (msgspec.MsgspecError, UnicodeError, RecursionError)


def _count_refused(frame: bytes | str, counts: Counts) -> None:
    try:
        used = _TYPED.decode(frame).type in _USED
    except _BAD:
        used = True
    if used:
        counts.malformed += 1
    else:
        counts.unknown += 1


def decode(frame: bytes | str, counts: Counts) -> WireEvent | None:
    """The event in a frame, or None. Counts each frame once; never raises."""
    if len(frame) > MAX_FRAME_BYTES:
        counts.too_long += 1
        return None
    try:
        event: WireEvent = _EVENT.decode(frame)
    except _BAD:
        _count_refused(frame, counts)
        return None
    counts.decoded += 1
    return event
