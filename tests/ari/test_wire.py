"""Decoding: never raises, counts every frame once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ari_app.ari import wire
from tests.ari import frames

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KINDS = st.sampled_from([*(kind.__name__ for kind in wire.WireEvent.__args__), "Unheard", ""])
FIELDS = st.dictionaries(
    st.sampled_from(["application", "channel", "args", "cause", "bridge", "endpoint"]), JSON
)


def one(frame: bytes | str) -> tuple[wire.WireEvent | None, wire.Counts]:
    counts = wire.Counts()
    return wire.decode(frame, counts), counts


@given(st.binary() | st.text())
def test_noise_never_raises(frame: bytes | str) -> None:
    event, counts = one(frame)
    assert event is None
    assert counts == wire.Counts(malformed=1)


@given(KINDS, FIELDS)
def test_half_right_frames_never_raise(kind: str, fields: dict[str, object]) -> None:
    event, counts = one(json.dumps({"type": kind, **fields}))
    total = counts.decoded + counts.unknown + counts.malformed
    assert total == 1
    assert (event is not None) == bool(counts.decoded)


def test_unknown_fields_are_skipped() -> None:
    event, counts = one(frames.caller_start(number="+4917012345", name="Bob"))
    assert isinstance(event, wire.StasisStart)
    assert (event.channel.id, event.channel.caller.name) == ("1795518604.0", "Bob")
    assert event.args == ["in", "+4930123456", "DE"]
    assert counts == wire.Counts(decoded=1)


def test_a_tech_cause_may_be_absent() -> None:
    event, _ = one(frames.destroyed("x", "Ringing", 26))
    assert isinstance(event, wire.ChannelDestroyed)
    assert (event.cause, event.tech_cause) == (26, 0)


@pytest.mark.parametrize(
    ("frame", "counts"),
    [
        (frames.event("ChannelVarset", variable="X"), wire.Counts(unknown=1)),
        (frames.event("StasisStart"), wire.Counts(malformed=1)),
        (b'{"type":"StasisEnd","application":"a","channel":{"id":7}}', wire.Counts(malformed=1)),
        (b"[" * 200_000, wire.Counts(malformed=1)),
        (b'{"type":"StasisEnd","x":' + b"[" * 200_000, wire.Counts(malformed=1)),
        (b'{"type":"X","x":"' + b"x" * wire.MAX_FRAME_BYTES + b'"}', wire.Counts(too_long=1)),
        (b'{"type":"StasisEnd\xff"}', wire.Counts(malformed=1)),
        ("\ud800", wire.Counts(malformed=1)),
        ("", wire.Counts(malformed=1)),
    ],
)
def test_bad_frames_are_counted(frame: bytes | str, counts: wire.Counts) -> None:
    assert one(frame) == (None, counts)
