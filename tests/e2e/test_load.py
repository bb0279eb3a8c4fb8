"""Five hundred callers in twenty-five seconds."""

import asyncio

import pytest
from sqlalchemy import func, select

from ari_app.store.tables import ATTEMPT, CALL
from tests.e2e.team import Team
from tests.lab.load import auto_answer, run_callers

pytestmark = pytest.mark.e2e

CALLS, RATE, HOLD_MS = 500, 20, 1000


async def test_five_hundred_calls_are_answered(team: Team) -> None:
    """20 a second, 1 s each, 40 members who answer at once: none lost, nothing left behind."""
    members = [f"load{number:02}" for number in range(40)]
    with auto_answer(team.lab.asterisk, members):
        number = await team.number(members, strategy="in-order")
        result = await asyncio.to_thread(
            run_callers, team.lab.asterisk, number, rate=RATE, calls=CALLS, hold_ms=HOLD_MS
        )
        assert (result.successful, result.failed) == (CALLS, 0)
        await team.nothing_left()
    times = [result.percentile(share) for share in (0.5, 0.95, 0.99, 1.0)]
    print("INVITE -> 200, p50 p95 p99 max:", *(f"{ms:.0f} ms" for ms in times))
    assert times[0] < 100
    with team.controller.engine.connect() as rows:
        calls = rows.execute(
            select(CALL.c.outcome, CALL.c.live, func.count())
            .where(CALL.c.number == number)
            .group_by(CALL.c.outcome, CALL.c.live)
        ).all()
        offers = select(ATTEMPT.c.outcome, func.count()).join(CALL, CALL.c.id == ATTEMPT.c.call_id)
        attempts = rows.execute(
            offers.where(CALL.c.number == number).group_by(ATTEMPT.c.outcome)
        ).all()
    assert [tuple(row) for row in calls] == [("answered", False, CALLS)]
    assert [tuple(row) for row in attempts] == [("answered", CALLS)]
