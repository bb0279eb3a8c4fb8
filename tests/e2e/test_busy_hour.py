"""Many callers, few agents, and everybody does as they like: the whole at once, by a seed."""

import asyncio
import random

import pytest

from tests.e2e.team import Team
from tests.lab.phones import Behaviour
from tests.lab.ring import Ring
from tests.lab.waiting import Missed, until

pytestmark = pytest.mark.e2e

AGENTS = ("ann", "bob", "cat", "dan")
CALLERS = 60
WITHIN_S = 4.0


@pytest.mark.parametrize(("seed", "strategy"), [(1, "ring-all"), (2, "in-order")])
async def test_nothing_is_left_of_a_busy_hour(team: Team, seed: int, strategy: str) -> None:
    """No phone ever has two calls, every caller ends somewhere, and nothing stays behind."""
    dice = random.Random(seed)
    number = await team.number(AGENTS, strategy=strategy, ring_s=1, retry_s=1, max_wait_s=3)
    doubles: list[str] = []
    for name in AGENTS:
        await team.phone(name, moods(dice, doubles))
    waits = [
        (dice.uniform(0, WITHIN_S), dice.choice([0, 0.1, 0.5, 1.5, 4])) for _ in range(CALLERS)
    ]
    heard_ringing = sum(
        await asyncio.gather(*(calls(team, number, n, *wait) for n, wait in enumerate(waits)))
    )
    await team.nothing_left()
    assert doubles == []
    outcomes = team.outcomes(number)
    # Who hung up with the first response may have been gone before the dialplan reached us.
    assert heard_ringing <= sum(outcomes.values()) <= CALLERS
    known = {"answered", "abandoned", "no answer", "nobody free", "all declined"}
    assert set(outcomes) <= known
    assert outcomes["answered"] > 0


async def calls(team: Team, number: str, n: int, start_s: float, patience_s: float) -> bool:
    """Dial; give up when patience ends before the answer, else talk a little. Did it ring?"""
    await asyncio.sleep(start_s)
    call = await team.caller(number, f"+491701{n:05}")
    try:
        await until(lambda: call.final_status, patience_s, "an answer")
        await until(lambda: call.ended, 0.2, "the other hangs up")
    except Missed:
        if not call.final_status:
            await call.cancel()
    await call.hang_up()
    return 180 in call.statuses


def moods(dice: random.Random, doubles: list[str]) -> Behaviour:
    """A phone that answers, refuses, or lets it ring; and that notices a second call at once."""
    mine: list[Ring] = []

    def behave(ring: Ring) -> None:
        busy_with = [str(other.caller_number) for other in mine if is_live(other)]
        if busy_with:
            doubles.append(f"{ring.agent.user}: {ring.caller_number} while {busy_with}")
        mine.append(ring)
        mood = dice.choice(["answer"] * 12 + ["busy", "decline", "silent"])
        if mood == "busy":
            ring.reject(486)
            return
        ring.ringing()
        if mood == "decline":
            ring.reject(603)
        elif mood == "answer":
            ring.agent.spawn(answer_and_talk(ring, dice.uniform(0, 0.1), dice.uniform(0.05, 0.4)))

    return behave


def is_live(ring: Ring) -> bool:
    return ring.is_ringing or ring.talking


async def answer_and_talk(ring: Ring, after_s: float, talk_s: float) -> None:
    await asyncio.sleep(after_s)
    if not ring.is_ringing:
        return
    ring.answer()
    await asyncio.sleep(talk_s)
    await ring.hang_up()
