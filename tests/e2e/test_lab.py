"""The phones of the lab and the shipped dialplan, with no controller running.

What a caller gets then is the fallback: the phones of FALLBACK_<number> ring, otherwise the caller
hears that nobody is available. Nothing hostile reaches a Dial().
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.lab.asterisk import AsteriskInstance
from tests.lab.load import auto_answer, run_callers
from tests.lab.phones import Lab, answers, redirects, refuses, rings_forever
from tests.lab.tones import ANN_HZ, CALLER_HZ

pytestmark = pytest.mark.e2e

NUMBER = "+4930555001"
GLOBAL = "FALLBACK_4930555001"


async def fallback(asterisk: AsteriskInstance, dial: str, name: str = GLOBAL) -> None:
    await asyncio.to_thread(asterisk.set_global, name, dial)


@asynccontextmanager
async def controller(asterisk: AsteriskInstance) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A connected app that decides nothing: what the dialplan sends it can be looked at."""
    login = aiohttp.encode_basic_auth(asterisk.ari_user, asterisk.ari_password)
    url = f"{asterisk.ari_url}/events?app={asterisk.app}"
    async with (
        aiohttp.ClientSession(headers={"Authorization": login}) as http,
        http.ws_connect(url) as events,
    ):
        yield events


async def test_fallback_rings_the_phone_and_they_talk(asterisk: AsteriskInstance, lab: Lab) -> None:
    await fallback(asterisk, "PJSIP/p01")
    ann = await lab.shaped_phone("p01")
    caller = await lab.caller_dials(NUMBER, caller="+4917012345", name="Kim")
    ring = await ann.rings(within_s=3)
    assert (ring.caller_number, ring.caller_name) == ("+4917012345", "Kim")
    ring.ringing()
    await caller.rings()
    ring.answer(ANN_HZ)
    await caller.answered()
    caller.play(CALLER_HZ)
    await caller.hears(ANN_HZ)
    await ring.hears(CALLER_HZ)
    caller.press("42#")
    await ring.receives_digits("42#")
    await caller.hang_up()
    await ring.hung_up()


async def test_two_baresip_phones_hear_each_other(asterisk: AsteriskInstance, lab: Lab) -> None:
    await fallback(asterisk, "PJSIP/p02&PJSIP/p03")
    ann, bob = await lab.phone("p02"), await lab.phone("p03")
    caller = await lab.caller_dials(NUMBER)
    call, other = await ann.rings(), await bob.rings()
    assert call.caller_number == "+4917012345"
    await call.answer(ANN_HZ)
    await other.cancelled()
    await caller.answered()
    caller.play(CALLER_HZ)
    await caller.hears(ANN_HZ)
    await call.hears(CALLER_HZ)
    caller.press("7")
    await call.receives_digits("7")
    await call.press("9")
    await caller.receives_digits("9")
    await call.hang_up()
    await caller.hung_up()


async def test_a_baresip_phone_dials_the_echo_test(lab: Lab) -> None:
    ann = await lab.phone("p02")
    call = await ann.dials("*43")
    await call.answered()
    call.play(ANN_HZ)
    await call.hears(ANN_HZ)
    await call.hang_up()


async def test_nobody_is_available_without_a_fallback(lab: Lab) -> None:
    caller = await lab.caller_dials("+4930555999")
    await caller.answered()
    await caller.hears_something()
    await caller.hung_up(within_s=10)


async def test_nobody_is_available_when_all_refuse(asterisk: AsteriskInstance, lab: Lab) -> None:
    await fallback(asterisk, "PJSIP/p01")
    await lab.shaped_phone("p01", refuses(486))
    caller = await lab.caller_dials(NUMBER)
    await caller.answered()
    await caller.hears_something()
    await caller.hang_up()


@pytest.mark.parametrize("target", ["*43", "p02", NUMBER])
async def test_a_302_is_not_followed(asterisk: AsteriskInstance, lab: Lab, target: str) -> None:
    """*43 is the echo test: if the 302 were followed there, the caller would hear himself."""
    await fallback(asterisk, "PJSIP/p01")
    await lab.shaped_phone("p01", redirects(target))
    elsewhere = await lab.shaped_phone("p02", answers())
    outside = await lab.carrier(answers())
    caller = await lab.caller_dials(NUMBER)
    caller.play(CALLER_HZ)
    await caller.answered()
    await caller.hears_something()  # the announcement
    assert caller.rtp.share(CALLER_HZ) < 0.5
    assert elsewhere.agent.rings.empty()
    assert outside.agent.rings.empty()
    await caller.hang_up()


async def test_the_losers_are_told_answered_elsewhere(asterisk: AsteriskInstance, lab: Lab) -> None:
    await fallback(asterisk, "PJSIP/p01&PJSIP/p02")
    ann = await lab.shaped_phone("p01", rings_forever)
    await lab.shaped_phone("p02", answers(after_s=0.1))
    caller = await lab.caller_dials(NUMBER)
    cancelled = await (await ann.rings()).cancelled()
    assert "cause=26" in cancelled.reason
    await caller.answered()
    await caller.hang_up()


async def test_a_caller_gives_up(asterisk: AsteriskInstance, lab: Lab) -> None:
    await fallback(asterisk, "PJSIP/p01")
    ann = await lab.shaped_phone("p01", rings_forever)
    caller = await lab.caller_dials(NUMBER)
    ring = await ann.rings()
    await caller.rings()
    assert await caller.cancel() == 487
    await ring.cancelled()


HOSTILE = [
    "4930555001&PJSIP%2Fp02",
    "4930555001&PJSIP/p02",
    "4930555001%26PJSIP%2Fp02",
    "4930555001%40trunk",
    "4930555001)%7D%24%7BSHELL(x)%7D",
    "+4930555001,5,x",
    "12&Local%2Fs%40nobody",
]


@pytest.mark.parametrize("extension", HOSTILE)
async def test_hostile_numbers_are_filtered(
    asterisk: AsteriskInstance, lab: Lab, extension: str
) -> None:
    """What the controller gets, and what names the fallback variable, is digits and plus signs."""
    second = await lab.shaped_phone("p02", answers())
    async with controller(asterisk) as events:
        caller = await lab.caller_dials(extension)
        start = await events.receive_json(timeout=3)
        kind, number, region = start["args"]
        assert re.fullmatch(r"[0-9+]{2,20}", number)
        assert (kind, region) == ("in", "DE")
        await caller.cancel()
    assert second.agent.rings.empty()


@pytest.mark.parametrize("number", ["1" * 21, "1" * 79, "9" * 200, "+" + "1" * 60])
async def test_of_what_is_too_long_the_rest_is_cut_off(
    asterisk: AsteriskInstance, lab: Lab, number: str
) -> None:
    """The controller gets it all the same, and keeps a journal of it."""
    async with controller(asterisk) as events:
        caller = await lab.caller_dials(number)
        start = await events.receive_json(timeout=3)
        assert start["args"] == ["in", number[:20], "DE"]
        await caller.cancel()


async def test_a_hostile_extension_in_outbound_dials_one_number(
    asterisk: AsteriskInstance, lab: Lab
) -> None:
    outside = await lab.carrier(rings_forever)
    second = await lab.shaped_phone("p02", rings_forever)
    async with controller(asterisk) as events:
        caller = await lab.caller_dials(NUMBER)
        channel = (await events.receive_json(timeout=3))["channel"]["id"]
        evil = "+4930777&PJSIP/p02"
        await asyncio.to_thread(
            asterisk.ari,
            "POST",
            f"/channels/{channel}/continue",
            context="outbound",
            extension=evil,
            priority="1",
        )
        assert (await outside.rings()).called == "+493077702"
        assert second.agent.rings.empty()
        await caller.cancel()


async def test_the_number_is_taken_from_to(asterisk: AsteriskInstance, lab: Lab) -> None:
    await fallback(asterisk, "PJSIP/p01")
    ann = await lab.shaped_phone("p01", rings_forever)
    await lab.caller_dials("s", to=NUMBER)
    assert (await ann.rings()).is_ringing


async def test_outbound_goes_to_the_carrier(asterisk: AsteriskInstance, lab: Lab) -> None:
    outside = await lab.carrier(rings_forever)
    await asyncio.to_thread(
        asterisk.ari,
        "POST",
        "/channels",
        endpoint="Local/+4930777001@outbound",
        extension="s",
        context="unknown",
    )
    ring = await outside.rings()
    assert ring.called == "+4930777001"
    ring.reject(486)


async def test_a_wrong_password_does_not_register(lab: Lab) -> None:
    phone = await lab.shaped_phone("p04", registered=False)
    assert await phone.agent.register(lab.server) == 200
    phone.agent._password = "wrong"
    assert await phone.agent.register(lab.server) == 401


async def test_a_phone_is_added_while_it_runs(lab: Lab) -> None:
    await lab.add_account("new1")
    await lab.shaped_phone("new1")


async def test_the_name_of_a_phone_is_no_way_in(lab: Lab) -> None:
    stranger = await lab.caller_dials(NUMBER, caller="p01")
    assert await stranger.refused() == 401


async def test_a_text_reaches_a_phone(asterisk: AsteriskInstance, lab: Lab) -> None:
    ann = await lab.shaped_phone("p01")
    await asyncio.to_thread(
        asterisk.ari,
        "PUT",
        "/endpoints/PJSIP/p01/sendMessage",
        **{"from": "sip:team@127.0.0.1", "body": "hello ü"},
    )
    assert (await ann.gets_text()).body == "hello ü"


async def test_forwarding_in_a_circle_ends(asterisk: AsteriskInstance, lab: Lab) -> None:
    """[forward] -> [inbound] -> (no controller) -> a fallback that forwards again."""
    await fallback(asterisk, "Local/+4930555002@forward/n", GLOBAL)
    await fallback(asterisk, "Local/+4930555001@forward/n", "FALLBACK_4930555002")
    caller = await lab.caller_dials(NUMBER)
    await caller.answered(within_s=5)
    await caller.hears_something()
    await caller.hang_up()


async def test_the_controller_gives_a_caller_back(asterisk: AsteriskInstance, lab: Lab) -> None:
    await fallback(asterisk, "PJSIP/p01")
    ann = await lab.shaped_phone("p01", rings_forever)
    async with controller(asterisk) as events:
        caller = await lab.caller_dials(NUMBER)
        start = await events.receive_json(timeout=3)
        assert start["type"] == "StasisStart"
        assert start["args"] == ["in", NUMBER, "DE"]
        await asyncio.to_thread(
            asterisk.ari,
            "POST",
            f"/channels/{start['channel']['id']}/continue",
            context="fallback",
            extension=NUMBER,
            priority="1",
        )
        assert (await ann.rings()).caller_number == "+4917012345"
        assert await caller.cancel() == 487


async def test_sipp_callers_and_members(asterisk: AsteriskInstance) -> None:
    members = [f"m{number:02}" for number in range(5)]
    everybody = "&".join(f"PJSIP/{name}" for name in members[:1])
    with auto_answer(asterisk, members):
        await fallback(asterisk, everybody)
        result = await asyncio.to_thread(
            run_callers, asterisk, NUMBER, rate=20, calls=20, hold_ms=300
        )
    assert (result.successful, result.failed) == (20, 0)
    assert result.percentile(0.5) < 500
