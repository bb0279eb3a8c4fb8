"""Whatever strangers send, what comes out is short and harmless."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ari_app.ari import clean


@given(st.text())
def test_a_number_is_a_number_or_nothing(raw: str) -> None:
    number = clean.number(raw)
    assert re.fullmatch(r"[+0-9*#]{0,32}", number)
    assert clean.number(number) == number


@given(st.text())
def test_a_name_is_one_short_harmless_line(raw: str) -> None:
    name = clean.name(raw)
    assert len(name) <= clean.MAX_NAME
    assert not set(name) & set("\"'`<>\\\r\n\t\0")
    assert not any(unicodedata.category(char).startswith("C") for char in name)
    assert clean.name(name) == name
    name.encode()


@given(st.text())
def test_an_endpoint_is_exactly_one_endpoint(raw: str) -> None:
    try:
        assert clean.endpoint(raw) == raw
    except ValueError:
        return
    assert re.fullmatch(r"PJSIP/[A-Za-z0-9_.-]+", raw)


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("+49 (30) 123-456", "+4930123456"),
        ("030/12345;phone-context=+49", "03012345"),
        ("anonymous", ""),
        ("unavailable", ""),
        ("alice42", ""),
        ("1" * 32, "1" * 32),
        ("1" * 33, ""),
        ("٣٤", ""),
    ],
)
def test_numbers(raw: str, number: str) -> None:
    assert clean.number(raw) == number


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ('Bob" <sip:evil@x>', "Bob sip:evil@x"),
        ("a\r\nVia: b", "a Via: b"),
        ("Ann\u202egnimoC", "Ann gnimoC"),
        ("Jörg  Müller", "Jörg Müller"),
        ("x" * 10_000, "x" * 64),
        ("\ud800", ""),
    ],
)
def test_names(raw: str, name: str) -> None:
    assert clean.name(raw) == name


@pytest.mark.parametrize(
    "raw",
    ["PJSIP/a&PJSIP/b", "PJSIP/+49900@trunk", "PJSIP/a/sip:x", "Local/1@x", "PJSIP/", "PJSIP/a\n"],
)
def test_bad_endpoints(raw: str) -> None:
    with pytest.raises(ValueError, match="not an endpoint"):
        clean.endpoint(raw)


@pytest.mark.parametrize(("raw", "region"), [("de", "DE"), ("DE", "DE"), ("", ""), ("D1", "")])
def test_regions(raw: str, region: str) -> None:
    assert clean.region(raw) == region
