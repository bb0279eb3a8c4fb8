"""Ids: a round trip, and one length for all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ari_app.ari import ids
from ari_app.core.commands import LegId

CALLS = st.integers(0, ids.MAX_CALL)
LEGS = st.builds(LegId, CALLS, st.integers(0, ids.MAX_DEVICE), st.integers(0, ids.MAX_N))


@given(LEGS, LEGS)
def test_a_leg_comes_back_and_all_ids_are_equally_long(leg: LegId, other: LegId) -> None:
    assert ids.parse_leg(ids.leg_channel(leg)) == leg
    assert len(ids.leg_channel(leg)) == len(ids.leg_channel(other))


@given(CALLS)
def test_a_talk_comes_back(call: int) -> None:
    assert ids.parse_talk(ids.talk_bridge(call)) == call
    assert ids.parse_leg(ids.talk_bridge(call)) is None


@given(st.text())
def test_strangers_ids_are_not_ours(text: str) -> None:
    leg, call = ids.parse_leg(text), ids.parse_talk(text)
    assert leg is None or ids.leg_channel(leg) == text
    assert call is None or ids.talk_bridge(call) == text


@pytest.mark.parametrize(
    "text",
    ["", "sl-1-2-3", "sl-0000000001-000001-000001\n", "sl-\u0660000000001-000001-000001", "1795.0"],
)
def test_near_misses(text: str) -> None:
    assert ids.parse_leg(text) is None


@pytest.mark.parametrize(
    "leg", [LegId(10**10, 1, 1), LegId(1, 10**6, 1), LegId(1, 1, 10**6), LegId(-1, 1, 1)]
)
def test_out_of_bounds_is_refused(leg: LegId) -> None:
    with pytest.raises(ValueError, match=r"outside 0\.\."):
        ids.leg_channel(leg)
