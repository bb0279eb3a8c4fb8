"""From the settings to the database, with every way it can fail said in one line."""

from sqlalchemy import Engine

from ari_app.settings import Settings, load_settings
from ari_app.store import engine as store


def unchecked() -> Engine:
    """The database of the settings, not opened yet. Raises SettingsError, StoreError."""
    return store.open_engine(load_settings().database_url)


def glanced() -> Engine:
    """The database for a completion: unchecked, for that would be felt, and never made anew."""
    engine = unchecked()
    path = store.database_path(engine)
    if path is not None and not path.exists():
        raise store.StoreError(f"no database at {path}")
    return engine


def opened() -> tuple[Settings, Engine]:
    """The settings, and a database of exactly our version. Raises SettingsError, StoreError."""
    settings = load_settings()
    engine = store.open_engine(settings.database_url)
    store.check(engine)
    return settings, engine
