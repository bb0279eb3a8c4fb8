"""Everything we can ask of Asterisk, in the imperative, in business words.

`ari.requests` turns each into one HTTP request and names the answers that are benign for it.
A command leaves only after the commit that decided it. `repeat` says what a controller that finds
an unacknowledged command after a crash, or gets no answer, may do with it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Repeat(StrEnum):
    """May the command be sent again when we don't know whether it took effect?"""

    SAFE = "safe"  # twice does no more than once
    NEVER = "never"  # twice could ring or dial twice


@dataclass(frozen=True, slots=True, order=True)
class LegId:
    """Names a leg, and so its channel: the call's row, the device's row, and a count within both.

    The channel id has a fixed length, since an id that is a prefix of a live channel's id is
    refused with 409 (asterisk-probes.md, surprise 1).
    """

    call: int
    device: int
    n: int


class HangUpReason(StrEnum):
    """What a leg's phone, or the caller's carrier, is told about why it is being hung up."""

    NORMAL = "normal"
    ELSEWHERE = "answered elsewhere"  # keeps "1 missed call" off the phone (RFC 3326)
    NO_ANSWER = "no answer"


@dataclass(frozen=True, slots=True)
class RingBack:
    """Let the caller hear ringing."""

    repeat: ClassVar[Repeat] = Repeat.SAFE
    call: int
    channel: str


@dataclass(frozen=True, slots=True)
class Guard:
    """Should we die for good, the caller goes on to the fallback after `after_s`; 0 is never.

    Asterisk's own absolute timeout, which runs without us. It must be 0 before a talk begins and
    before the caller goes on in the dialplan, or it would cut these off (docs/recovery.md).
    """

    repeat: ClassVar[Repeat] = Repeat.SAFE
    call: int
    channel: str
    after_s: int


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring one device, but not after `until_at`.

    `timeout_s` is Asterisk's own timeout, a net under the deadline in our state.
    """

    repeat: ClassVar[Repeat] = Repeat.NEVER
    call: int
    leg: LegId
    endpoint: str
    caller_number: str
    caller_name: str
    timeout_s: int
    until_at: int


@dataclass(frozen=True, slots=True)
class HangUpLeg:
    """Cancel or hang up a leg."""

    repeat: ClassVar[Repeat] = Repeat.SAFE
    call: int
    leg: LegId
    reason: HangUpReason


@dataclass(frozen=True, slots=True)
class AnswerCaller:
    """Answer the caller's channel."""

    repeat: ClassVar[Repeat] = Repeat.SAFE
    call: int
    channel: str


@dataclass(frozen=True, slots=True)
class MakeTalk:
    """Create the call's talk bridge."""

    repeat: ClassVar[Repeat] = Repeat.SAFE
    call: int


@dataclass(frozen=True, slots=True)
class JoinTalk:
    """Put the caller and the leg into the talk bridge, but not after `until_at`.

    By then we have given up on the agent, and a talk that begins would be ended at once.
    """

    repeat: ClassVar[Repeat] = Repeat.SAFE
    call: int
    channel: str
    leg: LegId
    until_at: int


@dataclass(frozen=True, slots=True)
class EndTalk:
    """Delete the talk bridge: Asterisk never dissolves a Stasis bridge by itself."""

    repeat: ClassVar[Repeat] = Repeat.SAFE
    call: int


@dataclass(frozen=True, slots=True)
class HangUpCaller:
    """Hang up the caller."""

    repeat: ClassVar[Repeat] = Repeat.SAFE
    call: int
    channel: str
    reason: HangUpReason


@dataclass(frozen=True, slots=True)
class LeaveTo:
    """Give the caller back to the dialplan."""

    repeat: ClassVar[Repeat] = Repeat.SAFE
    call: int
    channel: str
    context: str
    extension: str


def is_too_late(command: "Command", at: int) -> bool:
    """May the command no longer be sent?"""
    return isinstance(command, Ring | JoinTalk) and at >= command.until_at


Command = (
    RingBack
    | Guard
    | Ring
    | HangUpLeg
    | AnswerCaller
    | MakeTalk
    | JoinTalk
    | EndTalk
    | HangUpCaller
    | LeaveTo
)
