"""The database file: made, migrated, refused with one clear line, and owned by one controller."""

import subprocess
import sys

import pytest
from alembic import command
from sqlalchemy import text

from ari_app.store import engine as database
from ari_app.store.engine import StoreError


def test_a_new_database_is_of_our_version(engine):
    database.check(engine)
    assert database.revision(engine) == database.head()


def test_upgrading_again_changes_nothing(engine):
    database.upgrade(engine)
    database.check(engine)


def test_the_migrations_make_exactly_the_declared_tables(engine):
    command.check(database._config(engine))


def test_the_migrations_go_down_as_well(engine):
    command.downgrade(database._config(engine), "base")
    assert database.revision(engine) is None
    database.upgrade(engine)
    database.check(engine)


def test_no_database_says_how_to_make_one(tmp_path):
    engine = database.open_engine(f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(StoreError, match="run `sharedline db upgrade`"):
        database.check(engine)
    assert not (tmp_path / "none.db").exists()


def test_an_empty_file_says_how_to_make_one(tmp_path):
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="run `sharedline db upgrade`"):
        database.check(database.open_engine(f"sqlite:///{tmp_path}/empty.db"))


def test_a_database_from_the_future_is_left_alone(engine):
    with database.writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for attempt in (database.check, database.upgrade):
        with pytest.raises(StoreError, match="newer sharedline .migration 9999.: upgrade"):
            attempt(engine)


def test_a_file_that_is_no_database_is_one_line(tmp_path):
    (tmp_path / "junk.db").write_bytes(b"not a database at all, but longer than a header" * 40)
    engine = database.open_engine(f"sqlite:///{tmp_path}/junk.db")
    for attempt in (database.check, database.upgrade):
        with pytest.raises(StoreError, match="cannot use the database at .*not a database"):
            attempt(engine)


def test_a_damaged_database_is_noticed(engine, tmp_path):
    engine.dispose()
    path = tmp_path / "sharedline.db"
    pages = bytearray(path.read_bytes())
    for start in range(4096, len(pages), 4096):
        pages[start : start + 100] = b"\xff" * 100
    path.write_bytes(pages)
    with pytest.raises(StoreError, match="restore it from a backup|cannot use the database"):
        database.check(engine, deeply=True)


@pytest.mark.parametrize("url", ["nonsense", "mysql://x/y", "", "sqlite://host/x"])
def test_a_bad_url_is_one_line(url):
    with pytest.raises(StoreError, match="sqlite:///PATH"):
        database.check(database.open_engine(url))


def test_one_controller_at_a_time(engine):
    assert not database.controller_runs(engine)
    with database.lease(engine):
        assert database.controller_runs(engine)
        with pytest.raises(StoreError, match="another controller runs"), database.lease(engine):
            pass
    assert not database.controller_runs(engine)


def test_a_killed_controller_frees_the_lease(engine):
    code = (
        "import sys, time; from ari_app.store import engine as e;"
        "lease = e.lease(e.open_engine(sys.argv[1])); lease.__enter__(); print('held', flush=True);"
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(engine.url)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert database.controller_runs(engine)
        holder.kill()
    with database.lease(engine):
        pass
