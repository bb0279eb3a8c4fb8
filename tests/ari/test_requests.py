"""The table from commands to requests, and what answers mean."""

import configparser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ari_app import endpoints
from ari_app.ari import requests, setup
from ari_app.ari.requests import UNKNOWN, UNSENT, Outcome, Request
from ari_app.core import commands
from ari_app.core.commands import HangUpReason, LegId

LEG = LegId(7, 2, 1)
LEG_ID = "sl-0000000007-000002-000001"
TALK_ID = "sl-0000000007-talk"
CALLER = "1795518604.0"
RING = commands.Ring(7, LEG, "PJSIP/ann", "+4917012345", "Sales: Bob", 25, 99)
PJSIP_CONF = Path(__file__).parents[2] / "asterisk-conf/pjsip.conf"

EVERY_COMMAND: tuple[commands.Command, ...] = (
    commands.RingBack(7, CALLER),
    RING,
    commands.HangUpLeg(7, LEG, HangUpReason.ELSEWHERE),
    commands.AnswerCaller(7, CALLER),
    commands.MakeTalk(7),
    commands.JoinTalk(7, CALLER, LEG, 99),
    commands.EndTalk(7),
    commands.HangUpCaller(7, CALLER, HangUpReason.NO_ANSWER),
    commands.LeaveTo(7, CALLER, "fallback", "+4930123456"),
)


def the(command: commands.Command) -> Request:
    return requests.request(command, "sharedline")


def test_ring() -> None:
    request = the(RING)
    assert (request.method, request.path) == ("POST", "/channels")
    assert dict(request.query) == {
        "endpoint": "PJSIP/ann",
        "app": "sharedline",
        "appArgs": "leg",
        "channelId": LEG_ID,
        "callerId": '"Sales: Bob" <+4917012345>',
        "timeout": "25",
    }
    assert request.body == {"variables": {"FORWARD_CONTEXT": "no-forward"}}


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (EVERY_COMMAND[0], f"POST /channels/{CALLER}/ring"),
        (EVERY_COMMAND[2], f"DELETE /channels/{LEG_ID}?reason=answered_elsewhere"),
        (EVERY_COMMAND[3], f"POST /channels/{CALLER}/answer"),
        (EVERY_COMMAND[4], f"POST /bridges?type=mixing&bridgeId={TALK_ID}"),
        (
            EVERY_COMMAND[5],
            (
                f"POST /bridges/{TALK_ID}/addChannel?channel={CALLER},{LEG_ID}"
                "&inhibitConnectedLineUpdates=true"
            ),
        ),
        (EVERY_COMMAND[6], f"DELETE /bridges/{TALK_ID}"),
        (EVERY_COMMAND[7], f"DELETE /channels/{CALLER}?reason=no_answer"),
        (
            EVERY_COMMAND[8],
            f"POST /channels/{CALLER}/continue?context=fallback&extension=+4930123456&priority=1",
        ),
    ],
)
def test_the_others(command: commands.Command, line: str) -> None:
    request = the(command)
    query = "&".join(f"{key}={value}" for key, value in request.query)
    assert f"{request.method} {request.path}" + (f"?{query}" if query else "") == line


@pytest.mark.parametrize(
    ("command", "status", "outcome"),
    [
        (RING, 200, Outcome.DONE),
        (RING, 409, Outcome.DONE),
        (RING, 500, Outcome.FAILED),
        (RING, UNKNOWN, Outcome.UNKNOWN),
        (RING, UNSENT, Outcome.FAILED),
        (EVERY_COMMAND[2], 404, Outcome.GONE),
        (EVERY_COMMAND[2], 500, Outcome.FAILED),
        (EVERY_COMMAND[3], 409, Outcome.GONE),
        (EVERY_COMMAND[4], 409, Outcome.DONE),
        (EVERY_COMMAND[5], 400, Outcome.GONE),
        (EVERY_COMMAND[5], 422, Outcome.GONE),
        (EVERY_COMMAND[5], 409, Outcome.FAILED),
        (EVERY_COMMAND[6], 404, Outcome.GONE),
        (EVERY_COMMAND[8], 412, Outcome.GONE),
    ],
)
def test_what_an_answer_means(command: commands.Command, status: int, outcome: Outcome) -> None:
    assert requests.outcome(the(command), status) is outcome


@given(st.text(), st.text())
def test_a_caller_id_can_not_break_out(name: str, number: str) -> None:
    text = requests.caller_id(name, number)
    assert (text.count('"'), text.count("<"), text[-1]) == (2, 1, ">")
    assert text.isprintable()


@pytest.mark.parametrize(
    ("name", "number", "text"),
    [
        ("", "", '"Anonymous" <anonymous>'),
        ("", "123", '"123" <123>'),
        ("Bob", "", '"Bob" <anonymous>'),
    ],
)
def test_a_caller_id_is_never_empty(name: str, number: str, text: str) -> None:
    assert requests.caller_id(name, number) == text


def test_a_bad_endpoint_never_becomes_a_request() -> None:
    with pytest.raises(ValueError, match="not an endpoint"):
        the(commands.Ring(7, LEG, "PJSIP/ann&PJSIP/+49900@trunk", "", "", 25, 99))


def test_a_channel_id_of_asterisk_is_quoted() -> None:
    assert the(commands.RingBack(7, "a/../b?c")).path == "/channels/a%2F..%2Fb%3Fc/ring"


def test_fallback_phones() -> None:
    request = setup.fallback_phones("+4930123456", ["PJSIP/ann", "PJSIP/bob"])
    assert request.body == {"variable": "FALLBACK_4930123456", "value": "PJSIP/ann&PJSIP/bob"}
    with pytest.raises(ValueError, match="not an endpoint"):
        setup.fallback_phones("+4930123456", ["PJSIP/ann/x"])
    with pytest.raises(ValueError, match="not a number"):
        setup.fallback_phones("${SHELL(x)}", ["PJSIP/ann"])
    with pytest.raises(ValueError, match="at most 4000 bytes"):
        setup.fallback_phones("+4930123456", ["PJSIP/" + "a" * 70] * 60)


@pytest.mark.parametrize(("name", "value"), [("SHELL(x)", "1"), ("", "1"), ("A", "1\n2")])
def test_bad_globals(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"variable's name|one line"):
        setup.global_variable(name, value)


def test_a_phone_is_pushed_in_order_and_removed_in_reverse() -> None:
    digest = endpoints.digest("ann", "secret")
    pushed = [request.path.split("/")[-2] for request in setup.phone_objects("ann", digest)]
    removed = [request.path.split("/")[-2] for request in setup.phone_removal("ann")]
    assert pushed == ["auth", "aor", "endpoint"] == removed[::-1]
    assert "secret" not in repr(setup.phone_objects("ann", digest))


def test_ha1_is_the_digest_of_rfc_2617() -> None:
    # The example of Asterisk's own documentation of password_digest.
    assert endpoints.digest("myname", "mypassword", "myrealm") == "dce9ccd0a69e3ef90d8b9bf725053e78"


@pytest.mark.parametrize(("name", "digest"), [("a/b", "0" * 32), ("", "0" * 32), ("ann", "secret")])
def test_bad_phones(name: str, digest: str) -> None:
    with pytest.raises(ValueError, match=r"not an endpoint|32 hex digits"):
        setup.phone_objects(name, digest)


def test_pushed_phones_equal_the_templates_of_pjsip_conf() -> None:
    text = PJSIP_CONF.read_text().replace("](!)", "]").replace("#tryinclude", ";")
    conf = configparser.ConfigParser(strict=False, interpolation=None)
    conf.read_string(text.replace("[trunk](trunk-template)", "[trunk]"))
    for section, pushed in (("agent", setup.AGENT_ENDPOINT), ("agent-aor", setup.AGENT_AOR)):
        template = {key: value for key, value in conf[section].items() if key != "type"}
        assert template == pushed


def test_phones_are_watched_in_bounded_parts() -> None:
    parts = setup.phone_watch("sharedline", [f"PJSIP/p{n}" for n in range(1001)])
    assert len(parts) == 3
    assert setup.phone_watch("sharedline", []) == ()
    with pytest.raises(ValueError, match="not an endpoint"):
        setup.phone_watch("sharedline", [""])
