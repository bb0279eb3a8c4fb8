"""Ids we give to channels and bridges, and how to read them back.

Contract: ids of one kind all have the same length, because Asterisk answers 409 to a channel id
that is a prefix of a live channel's id (asterisk-probes.md, surprise 1). With equal lengths a 409
can only mean that this very channel already lives.
"""

import re
from typing import Final

from ari_app.core.commands import LegId

PREFIX: Final = "sl-"
MAX_CALL: Final = 10**10 - 1
MAX_DEVICE: Final = 10**6 - 1
MAX_N: Final = 10**6 - 1

_LEG = re.compile(r"sl-([0-9]{10})-([0-9]{6})-([0-9]{6})")
_TALK = re.compile(r"sl-([0-9]{10})-talk")


def _within(name: str, value: int, largest: int) -> int:
    if 0 <= value <= largest:
        return value
    raise ValueError(f"{name} {value} is outside 0..{largest}: it would change the id's length")


def leg_channel(leg: LegId) -> str:
    """The channel id of a leg. ValueError beyond MAX_CALL, MAX_DEVICE or MAX_N."""
    call = _within("call", leg.call, MAX_CALL)
    device = _within("device", leg.device, MAX_DEVICE)
    return f"{PREFIX}{call:010d}-{device:06d}-{_within('n', leg.n, MAX_N):06d}"


def talk_bridge(call: int) -> str:
    """The id of a call's talk bridge. ValueError beyond MAX_CALL."""
    return f"{PREFIX}{_within('call', call, MAX_CALL):010d}-talk"


def parse_leg(channel: str) -> LegId | None:
    """The leg whose channel this is, or None for anybody else's channel."""
    found = _LEG.fullmatch(channel)
    return LegId(*map(int, found.groups())) if found else None


def parse_talk(bridge: str) -> int | None:
    """The call whose talk bridge this is, or None for any other bridge."""
    found = _TALK.fullmatch(bridge)
    return int(found[1]) if found else None
