"""Fixtures of the edge's tests: the lab's Asterisk folder, for the contract test only."""

import pytest

from tests.lab.root import LabError, Root, ensure_root


@pytest.fixture(scope="session")
def root() -> Root:
    try:
        return ensure_root()
    except LabError as error:
        pytest.skip(str(error))
