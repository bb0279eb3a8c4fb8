"""The database's own trouble is a StoreError, whichever call meets it."""

import pytest

from ari_app.store.engine import StoreError
from ari_app.store.store import Store


def test_a_pragma_that_fails_is_a_store_error(engine):
    """A checkpoint on a full disk ended the controller (found by tests/lab/chaos.py)."""
    store = Store(engine, "sharedline")
    store.close()
    store._connection = engine.connect()
    store._connection.connection.driver_connection.close()
    for ask in (store.checkpoint, store.data_version):
        with pytest.raises(StoreError, match="can't be used now"):
            ask()
    store._connection.invalidate()
    store.close()
