"""A fresh database file for each test."""

import pytest

from ari_app.store import engine as database


@pytest.fixture
def engine(tmp_path):
    engine = database.open_engine(f"sqlite:///{tmp_path}/sharedline.db")
    database.upgrade(engine)
    yield engine
    engine.dispose()
