"""The inbox: in order, all at once, bounded, and closed without loss."""

import asyncio

import pytest

from ari_app.core.events import AgentRested, CallerLeft
from ari_app.runtime.clock import system_clock
from ari_app.runtime.inbox import Inbox, InboxFullError


def an_inbox(limit=10):
    return Inbox(system_clock, limit)


async def test_everything_that_waits_comes_at_once_in_order():
    inbox = an_inbox()
    inbox.put(CallerLeft(1, 1))
    inbox.put(CallerLeft(2, 2))
    assert await inbox.drain(None) == [CallerLeft(1, 1), CallerLeft(2, 2)]


async def test_a_waiting_consumer_is_woken():
    inbox = an_inbox()
    drained = asyncio.create_task(inbox.drain(None))
    await asyncio.sleep(0)
    inbox.put(AgentRested(1, 1))
    assert await drained == [AgentRested(1, 1)]


async def test_a_deadline_ends_the_wait_with_nothing():
    assert await an_inbox().drain(system_clock() - 1) == []
    assert await an_inbox().drain(system_clock() + 2_000) == []


async def test_a_closed_inbox_gives_what_is_left_and_then_ends():
    inbox = an_inbox()
    inbox.put(CallerLeft(1, 1))
    inbox.close()
    assert await inbox.drain(None) == [CallerLeft(1, 1)]
    assert await inbox.drain(None) is None


async def test_a_full_inbox_names_its_setting():
    inbox = an_inbox(limit=1)
    inbox.put(CallerLeft(1, 1))
    with pytest.raises(InboxFullError, match="SHAREDLINE_INBOX_LIMIT"):
        inbox.put(CallerLeft(2, 2))
    assert len(inbox) == 1
