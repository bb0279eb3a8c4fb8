"""The chaos run (tests/lab/chaos.py) in short: no talk dropped, nobody lost, no agent stuck."""

import pytest

from tests.lab.chaos import Size, asterisk_dies, chaos, report
from tests.lab.root import Root

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
SHORT = Size(pairs=8, ringing=3, comers=8, rounds=3, trouble_s=3)


async def test_everything_goes_wrong_while_people_talk(root: Root) -> None:  # noqa: ARG001
    result = await chaos(SHORT)
    print(report(result))
    assert result.fine, report(result)
    assert result.figures.came["talked"] > 0
    assert len(result.restarts_ms) == SHORT.rounds
    # All but the packets that were on their way; our own measuring may be late on a busy machine.
    assert result.figures.heard > 0.97
    assert result.figures.silence_s < 0.2 + result.figures.lag_s


async def test_asterisk_itself_is_killed(root: Root) -> None:  # noqa: ARG001
    assert await asterisk_dies(SHORT) == []
