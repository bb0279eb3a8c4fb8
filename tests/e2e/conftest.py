"""Fixtures of the end-to-end tests: one Asterisk for the whole run, fresh phones for each test.

Contract: `root` and `asterisk` live as long as the run; `lab` (tests/lab/phones.py) belongs to one
test, hangs up and unregisters its phones at the end, so tests may share the instance. `controller`
lives as long as a module (other modules use Asterisk without one); `team` belongs to one test.
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.service import Controller
from tests.e2e.team import Team
from tests.lab.asterisk import AsteriskInstance
from tests.lab.phones import Lab, default_phones
from tests.lab.root import LabError, Root, ensure_root


@pytest.fixture(scope="session")
def root() -> Root:
    try:
        return ensure_root()
    except LabError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def asterisk(root: Root) -> Iterator[AsteriskInstance]:
    with AsteriskInstance(root, phones=default_phones()) as instance:
        yield instance


@pytest.fixture
async def lab(asterisk: AsteriskInstance) -> AsyncIterator[Lab]:
    async with Lab(asterisk) as lab:
        yield lab


@pytest.fixture(scope="module")
async def controller(
    asterisk: AsteriskInstance, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Controller]:
    async with Controller(asterisk, tmp_path_factory.mktemp("controller")) as controller:
        yield await controller.start()


@pytest.fixture
async def team(controller: Controller, lab: Lab) -> AsyncIterator[Team]:
    before = len(controller.output())
    yield Team(controller, lab)
    print(controller.output()[before:][-6000:])  # shown when the test failed
