"""From a database URL to an engine: SQLite's pragmas, migrations, and the controller's lease.

SQLite rules (design.md section 8): WAL, synchronous=NORMAL (survives kill -9 of us, not a power
cut), BEGIN IMMEDIATE for writers, a checkpoint when idle.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

BUSY_TIMEOUT_S = 5


class StoreError(Exception):
    """The database can't be used, or refuses what was asked; one line that says what to do."""


def open_engine(url: str) -> Engine:
    """An engine for the URL; nothing is opened yet. Raises StoreError for a URL we can't use."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            raise StoreError(
                f"database {parsed.get_backend_name()!r} is not supported: use sqlite:///PATH"
            )
        engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_S})
    except (ArgumentError, ImportError) as error:
        raise StoreError(f"bad database URL, write sqlite:///PATH: {error}") from error
    _set_up_sqlite(engine)
    return engine


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # or the driver would start transactions by itself
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("sharedline_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that takes the write lock at its start, so that it never has to upgrade."""
    writer = engine.connect().execution_options(sharedline_begin="IMMEDIATE")
    with writer as connection, connection.begin():
        yield connection


def database_path(engine: Engine) -> Path | None:
    """The SQLite file, or None for a database in memory."""
    name = engine.url.database
    return Path(name) if name and name != ":memory:" else None


def _config(engine: Engine) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = engine
    return config


def upgrade(engine: Engine) -> None:
    """Make or migrate the tables. Raises StoreError."""
    path = database_path(engine)
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        if revision(engine) is not None:
            _refuse_future(engine)
        with lease(engine):  # never under a running controller
            command.upgrade(_config(engine), "head")
    except (OSError, SQLAlchemyError) as error:
        raise StoreError(f"cannot use the database at {path}: {_short(error)}") from error


def revision(engine: Engine) -> str | None:
    """The migration the database is at, or None when it has no tables yet."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check(engine: Engine, *, deeply: bool = False) -> None:
    """Raises StoreError unless the database is there and of exactly our version.

    `deeply` also looks for damage, which reads the whole file.
    """
    path = database_path(engine)
    try:
        if path is not None and not path.exists():
            raise StoreError(f"no database at {path}: run `sharedline db upgrade`")
        found = revision(engine)
        if found != head():
            if found is not None:
                _refuse_future(engine)
            raise StoreError("the database is older than this program: run `sharedline db upgrade`")
        if deeply:
            _look_for_damage(engine)
    except SQLAlchemyError as error:
        raise StoreError(f"cannot use the database at {path}: {_short(error)}") from error
    except OSError as error:
        raise StoreError(
            f"cannot use the database at {path}: {error.strerror}: run as its owner"
        ) from error


def _look_for_damage(engine: Engine) -> None:
    with engine.connect() as connection:
        sound = connection.execute(text("PRAGMA quick_check(1)")).scalar()
    if sound != "ok":
        path = database_path(engine)
        raise StoreError(f"the database at {path} is damaged ({sound}): restore it from a backup")


def head() -> str:
    """The newest migration this program knows."""
    found = _scripts().get_current_head()
    assert found is not None
    return found


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent / "migrations"))


def _refuse_future(engine: Engine) -> None:
    found = revision(engine)
    known = {script.revision for script in _scripts().walk_revisions()}
    if found not in known:
        raise StoreError(
            f"the database is from a newer sharedline (migration {found}): upgrade the program"
        )


def _short(error: Exception) -> str:
    origin = getattr(error, "orig", None) or error
    return str(origin).splitlines()[0]


@contextmanager
def lease(engine: Engine) -> Iterator[None]:
    """Be the one controller of this database, until the process dies. Raises StoreError.

    `flock` beside the file: the kernel frees it with the process, however that ends.
    """
    path = database_path(engine)
    if path is None:
        yield
        return
    handle = os.open(_lock_file(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise StoreError(f"another controller runs on {path}: stop it first") from error
    try:
        yield
    finally:
        os.close(handle)


def controller_runs(engine: Engine) -> bool:
    """Does some process hold the lease now?"""
    path = database_path(engine)
    if path is None or not _lock_file(path).exists():
        return False
    handle = os.open(_lock_file(path), os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def _lock_file(path: Path) -> Path:
    return path.with_name(path.name + ".lock")
