"""Translation: each wire event that means something to the core, and those that don't."""

import itertools

import pytest

from ari_app.ari import ids, wire
from ari_app.ari.translate import Translator
from ari_app.core import events
from ari_app.core.commands import LegId
from ari_app.core.events import LegEnd
from tests.ari import frames

AT = 1_795_518_604_000_000
CALLER = "1795518604.0"
LEG = LegId(7, 2, 1)
LEG_CHANNEL = ids.leg_channel(LEG)


def resolve(dialled: str, region: str) -> str:
    national = dialled.startswith("0") and region == "DE"
    return f"+49{dialled[1:]}" if national else dialled


def a_translator(callers: dict[str, int] | None = None) -> Translator:
    return Translator(frames.APP, resolve, itertools.count(7).__next__, callers or {})


def translate(translator: Translator, frame: bytes) -> object:
    event = wire.decode(frame, wire.Counts())
    assert event is not None
    return translator.translate(event, AT)


def test_a_caller_arrives_and_leaves() -> None:
    translator = a_translator()
    start = frames.caller_start(
        args=("in", "030123456", "DE"), number="0170 12345", name='Bob"\r\n<b>'
    )
    assert translate(translator, start) == events.CallArrived(
        at=AT,
        call=7,
        channel=CALLER,
        dialled="030123456",
        number="+4930123456",
        caller_number="+4917012345",
        caller_name="Bob b",
    )
    assert translator.callers == {CALLER: 7}
    end = frames.event("StasisEnd", channel=frames.channel(CALLER))
    assert translate(translator, end) == events.CallerLeft(AT, 7)
    assert translator.callers == {}
    assert translate(translator, end) is None


@pytest.mark.parametrize("number", ["anonymous", "", "unavailable", "sip:x@y", "1" * 40])
def test_a_caller_without_a_usable_number(number: str) -> None:
    event = translate(a_translator(), frames.caller_start(number=number, name="Anonymous"))
    assert isinstance(event, events.CallArrived)
    assert event.caller_number == ""


@pytest.mark.parametrize("args", [("in",), ("in", "bob&PJSIP/x", "DE"), ("in", "")])
def test_a_number_that_makes_no_sense_still_is_a_call(args: tuple[str, ...]) -> None:
    event = translate(a_translator(), frames.caller_start(args=args))
    assert isinstance(event, events.CallArrived)
    assert (event.dialled, event.number) == ("", "")


def test_each_caller_gets_the_next_call_id_once() -> None:
    translator = a_translator()
    arrived = [translate(translator, frames.caller_start(name)) for name in ("a.1", "a.2", "a.1")]
    assert [e.call if isinstance(e, events.CallArrived) else e for e in arrived] == [7, 8, None]


def test_a_leg_rings_answers_presses_and_ends() -> None:
    translator = a_translator()
    channel = frames.channel(LEG_CHANNEL, "Ringing")
    up = frames.channel(LEG_CHANNEL, "Up")
    happened = [
        translate(translator, frame)
        for frame in (
            frames.event("ChannelStateChange", channel=channel),
            frames.event("ChannelStateChange", channel=up),
            frames.event("StasisStart", args=["leg"], channel=up),
            frames.event("ChannelDtmfReceived", digit="1", duration_ms=90, channel=up),
            frames.event("ChannelDtmfReceived", digit="12", duration_ms=90, channel=up),
            frames.event("StasisEnd", channel=up),
            frames.destroyed(LEG_CHANNEL, "Up", 16),
        )
    ]
    assert happened == [
        events.LegRang(AT, 7, LEG),
        None,
        events.LegAnswered(AT, 7, LEG),
        events.LegDigit(AT, 7, LEG, "1"),
        None,
        None,
        events.LegEnded(AT, 7, LEG, LegEnd.HUNG_UP),
    ]
    assert translator.callers == {}


@pytest.mark.parametrize(
    ("state", "cause", "tech_cause", "end"),
    [  # asterisk-probes.md section 4, seen again on 22.10.1 (tests/e2e/test_ari_edge.py)
        ("Ringing", 17, 486, LegEnd.REFUSED),
        ("Down", 17, 600, LegEnd.REFUSED),
        ("Down", 21, 603, LegEnd.REFUSED),
        ("Ringing", 19, 480, LegEnd.SILENT),
        ("Down", 18, 408, LegEnd.SILENT),
        ("Down", 23, 302, LegEnd.FORWARDED),
        ("Down", 1, 404, LegEnd.FAILED),
        ("Down", 58, 488, LegEnd.FAILED),
        ("Down", 34, 503, LegEnd.FAILED),
        ("Ringing", 16, 487, LegEnd.HUNG_UP),
        ("Ringing", 26, 0, LegEnd.HUNG_UP),
        ("Ringing", 16, 0, LegEnd.HUNG_UP),
        ("Ringing", 19, 0, LegEnd.SILENT),
        ("Down", 0, 0, LegEnd.FORWARDED),
        ("Down", 41, 0, LegEnd.FAILED),
        ("Up", 17, 486, LegEnd.HUNG_UP),  # a BYE may carry any Reason
        ("Up", 0, 0, LegEnd.HUNG_UP),
    ],
)
def test_how_a_leg_ended(state: str, cause: int, tech_cause: int, end: LegEnd) -> None:
    frame = frames.destroyed(LEG_CHANNEL, state, cause, tech_cause)
    assert translate(a_translator(), frame) == events.LegEnded(AT, 7, LEG, end)


def test_both_join_the_talk() -> None:
    translator = a_translator({CALLER: 7, "other.1": 8})
    talk = ids.talk_bridge(7)
    assert translate(translator, frames.entered(talk, CALLER)) == events.JoinedTalk(AT, 7, None)
    assert translate(translator, frames.entered(talk, LEG_CHANNEL)) == events.JoinedTalk(AT, 7, LEG)
    for bridge, channel in ((talk, "other.1"), ("queue", CALLER), (talk, "stranger")):
        assert translate(translator, frames.entered(bridge, channel)) is None


def test_a_phone_comes_back_once() -> None:
    translator = a_translator()
    states = (
        "UNAVAILABLE",
        "NOT_INUSE",
        "BUSY",
        "NOT_INUSE",
        "UNAVAILABLE",
        "UNKNOWN",
        "NOT_INUSE",
    )
    told = [translate(translator, frames.device(state)) is not None for state in states]
    assert told == [False, True, False, True, False, False, True]
    back = events.PhoneFree(AT, "PJSIP/p02")
    assert translate(translator, frames.device("NOT_INUSE", "PJSIP/p02")) == back


def test_what_is_not_ours_is_none() -> None:
    translator = a_translator()
    stranger = frames.channel("1795518604.9")
    for frame in (
        frames.event("StasisStart", args=["other"], channel=stranger),
        frames.event("StasisEnd", channel=stranger),
        frames.event("ChannelStateChange", channel=stranger),
        frames.destroyed("1795518604.9", "Up", 16),
        frames.event("ApplicationReplaced"),
        frames.caller_start().replace(b'"application": "sharedline"', b'"application": "x"'),
    ):
        assert translate(translator, frame) is None
    assert translator.callers == {}
