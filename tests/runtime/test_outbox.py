"""The outbox: in order within a call, side by side across calls, each answer reported once."""

import asyncio
from dataclasses import replace

from ari_app.ari.client import Reply
from ari_app.ari.requests import UNKNOWN, UNSENT
from ari_app.core.commands import AnswerCaller, HangUpReason, LeaveTo, LegId, Ring, RingBack
from ari_app.core.commands import HangUpLeg as HangUp
from ari_app.core.events import CommandDone, CommandFailed
from ari_app.runtime.happenings import Answered
from ari_app.runtime.outbox import Lanes, Outbox
from ari_app.store.store import Sent

RING = Ring(1, LegId(1, 11, 1), "PJSIP/ann", "+4917", "Eve", 25, 99)


class Peer:
    """Asterisk's end: answers each request with the next of `statuses`, when let."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.requests = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Semaphore(0)

    async def has(self, count):
        """Wait until `count` requests came in."""
        for _ in range(count):
            await self.arrived.acquire()

    async def send(self, request):
        self.requests.append(f"{request.method} {request.path}")
        self.arrived.release()
        await self.gate.wait()
        return Reply(self.statuses.pop(0) if self.statuses else 204)


async def carried_out(peer, *commands):
    reports = []
    async with asyncio.TaskGroup() as tasks:
        outbox = Outbox(peer.send, "team", reports.append, lambda: 7, tasks.create_task)
        outbox.put(Sent(id_, command) for id_, command in enumerate(commands, start=1))
        await outbox.idle()
        assert len(outbox) == 0
    return reports


async def test_a_command_is_answered_once():
    command = RingBack(1, "c")
    done = Answered(1, CommandDone(7, 1, command, gone=False))
    assert await carried_out(Peer(), command) == [done]


async def test_what_it_was_about_is_gone():
    (report,) = await carried_out(Peer(404), HangUp(1, RING.leg, HangUpReason.NORMAL))
    assert report.event.gone


async def test_a_refusal_says_why():
    (report,) = await carried_out(Peer(500), RING)
    assert report.event == CommandFailed(7, 1, RING, unknown=False, why="500 ")


async def test_what_rings_twice_is_not_sent_twice_but_what_was_not_sent_is():
    peer = Peer(UNKNOWN)
    (report,) = await carried_out(peer, RING)
    assert (report.event.unknown, len(peer.requests)) == (True, 1)
    peer = Peer(UNSENT, 200)
    (report,) = await carried_out(peer, RING)
    assert isinstance(report.event, CommandDone)
    assert len(peer.requests) == 2


async def test_what_may_be_repeated_is_when_no_answer_came():
    peer = Peer(UNKNOWN, 204)
    (report,) = await carried_out(peer, AnswerCaller(1, "c"))
    assert isinstance(report.event, CommandDone)


async def test_a_bad_endpoint_is_never_sent():
    peer = Peer()
    bad = Ring(1, LegId(1, 11, 1), "PJSIP/ann&PJSIP/bob", "", "", 25, 99)
    (report,) = await carried_out(peer, bad)
    assert isinstance(report.event, CommandFailed)
    assert peer.requests == []


async def test_what_is_too_late_is_not_sent():
    peer = Peer()
    (report,) = await carried_out(peer, replace(RING, until_at=7))
    assert isinstance(report.event, CommandFailed)
    assert report.event.why == "408 too late to be sent"
    assert peer.requests == []


async def test_one_call_waits_for_its_own_answers_and_for_no_other_call_s():
    peer = Peer()
    peer.gate.clear()
    reports = []
    async with asyncio.TaskGroup() as tasks:
        outbox = Outbox(peer.send, "team", reports.append, lambda: 7, tasks.create_task)
        outbox.put(
            [
                Sent(1, AnswerCaller(1, "a")),
                Sent(2, LeaveTo(1, "a", "nobody", "s")),
                Sent(3, AnswerCaller(2, "b")),
            ]
        )
        await peer.has(2)
        assert peer.requests == ["POST /channels/a/answer", "POST /channels/b/answer"]
        peer.gate.set()
        await outbox.idle()
    assert peer.requests[2:] == ["POST /channels/a/continue"]
    assert [report.sent for report in reports if report.event.call == 1] == [1, 2]


def test_a_lane_is_empty_after_its_last_answer():
    lanes = Lanes()
    first, second = Sent(1, RingBack(1, "a")), Sent(2, RingBack(1, "a"))
    assert lanes.put(first)
    assert not lanes.put(second)
    assert lanes.answered(1) == second
    assert lanes.answered(1) is None
    assert len(lanes) == 0
    assert lanes.put(first)


async def test_urgent_commands_pass_by_the_lanes():
    peer = Peer()
    async with asyncio.TaskGroup() as tasks:
        outbox = Outbox(peer.send, "team", lambda _: None, lambda: 7, tasks.create_task)
        await outbox.urgently([LeaveTo(1, "a", "fallback", "+49")])
        assert len(outbox) == 0
    assert peer.requests == ["POST /channels/a/continue"]
