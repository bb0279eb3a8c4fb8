"""What a scrape says after real turns of a real controller; labels stay few whoever calls."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ari_app.ari import setup
from ari_app.ari.client import Reply
from ari_app.ari.requests import UNKNOWN, UNSENT, Request
from ari_app.core.commands import LegId
from ari_app.core.events import (
    CallArrived,
    CallerLeft,
    JoinedTalk,
    LegAnswered,
    LegEnd,
    LegEnded,
    LegRang,
)
from ari_app.runtime.clock import system_clock
from ari_app.runtime.metrics import Metrics, operation
from ari_app.store import engine as database
from tests.runtime.test_controller import E164, Office, arrives, engine  # noqa: F401 - a fixture

LEG = LegId(1, 1, 1)


def values(metrics):
    """Each sample by its name and labels, as a scrape gets them: `name{label=value}`."""
    found = {}
    for family in text_string_to_metric_families(metrics.page().decode()):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            name = sample.name.removeprefix("sharedline_")
            found[f"{name}{{{labels}}}" if labels else name] = sample.value
    return found


class Counted(Office):
    """An office with metrics."""

    def __init__(self, engine, tasks):  # noqa: F811
        super().__init__(engine, tasks)
        self.metrics = Metrics()
        self.controller._observers = (self.metrics,)
        self.metrics.look_at(self.controller._mind, self.inbox, self.outbox, system_clock)

    def happens(self, kind, *rest, **named):
        self.inbox.put(kind(system_clock(), 1, *rest, **named))

    async def shows(self, expected):
        """Wait until a scrape has these."""
        found = {}
        try:
            async with asyncio.timeout(5):
                while expected.items() - found.items():
                    found = values(self.metrics)
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(str({name: found.get(name) for name in expected}))


@pytest.fixture
async def office(engine):  # noqa: F811
    async with asyncio.TaskGroup() as tasks:
        office = Counted(engine, tasks)
        running = tasks.create_task(office.controller.run())
        yield office
        await office.close(running)


async def test_one_call_from_its_arrival_to_its_end(office):
    await office.shows({f"line_length{{number={E164}}}": 0, "calls_total{outcome=answered}": 0})
    office.inbox.put(arrives(1))
    await office.shows(
        {f"line_length{{number={E164}}}": 1, "calls_live{place=Ringing}": 1, "outbox_depth": 0}
    )
    assert 0 < values(office.metrics)[f"line_oldest_wait_seconds{{number={E164}}}"] < 5
    office.happens(LegRang, LEG)
    office.happens(LegAnswered, LEG)
    office.happens(JoinedTalk, None)
    office.happens(JoinedTalk, LEG)
    await office.shows(
        {
            "calls_live{place=Talking}": 1,
            "calls_live{place=Ringing}": 0,
            f"line_length{{number={E164}}}": 0,
            f"line_oldest_wait_seconds{{number={E164}}}": 0,
            "offers_total{outcome=answered}": 1,
        }
    )
    office.happens(LegEnded, LEG, LegEnd.HUNG_UP)
    office.happens(CallerLeft)
    await office.shows(
        {
            "calls_live{place=Talking}": 0,
            "calls_live{place=Ended}": 0,
            "calls_total{outcome=answered}": 1,
            "calls_total{outcome=abandoned}": 0,
            "steps_total{event=LegAnswered}": 1,
            "steps_total{event=CallArrived}": 1,
            "inbox_depth": 0,
            "commit_failures_total": 0,
        }
    )


async def test_a_call_is_counted_once_though_its_legs_end_later(office):
    office.inbox.put(arrives(1))
    await office.shows({"calls_live{place=Ringing}": 1})
    office.happens(CallerLeft)
    await office.shows({"calls_total{outcome=abandoned}": 1, "calls_live{place=Ended}": 1})
    office.happens(LegEnded, LEG, LegEnd.HUNG_UP)
    await office.shows({"calls_total{outcome=abandoned}": 1, "calls_live{place=Ended}": 0})


async def test_turns_and_commits_are_timed(office):
    before = values(office.metrics)
    office.inbox.put(arrives(1))
    await office.shows({"steps_total{event=Offered}": 1})
    after = values(office.metrics)
    for name in ("turn_seconds", "commit_seconds", "batch_happenings"):
        assert after[f"{name}_count"] > before[f"{name}_count"]
        assert after[f"{name}_sum"] > before[f"{name}_sum"]


async def test_commits_that_fail_are_counted_and_their_steps_only_once(engine):  # noqa: F811
    async with asyncio.TaskGroup() as tasks:
        office = Counted(engine, tasks)
        running = tasks.create_task(office.controller.run())
        with database.writing(engine):
            office.inbox.put(arrives(1))
            await office.a_commit_was_tried()
            assert values(office.metrics)["commit_failures_total"] >= 1
            assert "steps_total{event=CallArrived}" not in values(office.metrics)
        await office.shows({"steps_total{event=CallArrived}": 1})
        await office.close(running)


async def test_what_strangers_dial_is_no_label(office):
    for call in range(1, 4):
        dialled = f"+49999{call}"
        event = CallArrived(system_clock(), call, f"c{call}", dialled, dialled, "+4917", "Eve")
        office.inbox.put(event)
    await office.shows({"steps_total{event=CallArrived}": 3})
    page = office.metrics.page().decode()
    assert "+49999" not in page
    assert "+4917" not in page
    assert '"Eve"' not in page


def test_what_is_new_and_what_came_back():
    metrics = Metrics()
    metrics.connected()
    assert values(metrics)["reconnects_total"] == 0
    metrics.connected()
    assert values(metrics)["reconnects_total"] == 1


def test_two_of_them_share_nothing():
    first, second = Metrics(), Metrics()
    first.connected()
    first.connected()
    assert values(second)["reconnects_total"] == 0


async def test_requests_are_timed_and_counted_by_operation():
    metrics = Metrics()
    replies = [204, 404, 500, UNKNOWN, UNSENT]
    send = metrics.timed(lambda _: asyncio.sleep(0.001, Reply(replies.pop(0))))
    hang_up = Request("DELETE", "/channels/1764.3", gone=frozenset({404}))
    assert (await send(hang_up)).status == 204
    while replies:
        await send(hang_up)
    found = values(metrics)
    name = "operation=DELETE /channels/*"
    outcomes = ("done", "gone", "failed", "unknown", "unsent")
    assert [found[f"ari_requests_total{{{name},outcome={each}}}"] for each in outcomes] == [1] * 5
    assert found[f"ari_request_seconds_count{{{name}}}"] == 5
    assert found[f"ari_request_seconds_sum{{{name}}}"] >= 0.005


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (Request("POST", "/channels"), "POST /channels"),
        (Request("POST", "/channels/1764.3/ring"), "POST /channels/*/ring"),
        (Request("POST", "/bridges/sl-1-talk/addChannel"), "POST /bridges/*/addChannel"),
        (setup.fallback_phones("+4930", ()), "POST /asterisk/variable"),
        (setup.event_filter("team"), "PUT /applications/*/eventFilter"),
        (setup.phone_removal("ann-desk")[0], "DELETE /asterisk/config/dynamic/res_pjsip/*/*"),
        (Request("BREW", "/" + "+49/" * 50), "* /*/*/*/*/*/*"),
    ],
)
def test_an_operation_holds_no_id(request_, name):
    found = operation(request_)
    kinds = found.replace("/endpoint/", "/*/").replace("/auth/", "/*/").replace("/aor/", "/*/")
    assert kinds == name
