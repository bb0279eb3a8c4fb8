"""Every state a database can be in is one line that says what to do, from every command."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

FAILED = 1
CHECKOUT = Path(__file__).parents[2]
COMMANDS = [
    ("numbers", "list"),
    ("numbers", "add", "+4930123456"),
    ("agents", "list"),
    ("agents", "add", "ann", "--phone"),
    ("members", "list", "+4930123456"),
    ("calls", "list"),
    ("calls", "show", "1"),
    ("db", "check"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_database(bare, tmp_path, words):
    expected = f"no database at {bare.path}: run `sharedline db upgrade`"
    assert (FAILED, expected) == bare.refuses(*words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [*COMMANDS, ("db", "upgrade")], ids=" ".join)
def test_a_database_from_the_future(sharedline, words):
    with sqlite3.connect(sharedline.path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    expected = "the database is from a newer sharedline (migration 9999): upgrade the program"
    assert (FAILED, expected) == sharedline.refuses(*words)


@pytest.mark.parametrize("words", [*COMMANDS, ("db", "upgrade")], ids=" ".join)
def test_a_file_that_is_no_database(bare, words):
    bare.path.write_text("Tyger Tyger, burning bright, " * 100)
    expected = f"cannot use the database at {bare.path}: file is not a database"
    assert (FAILED, expected) == bare.refuses(*words)


def test_a_damaged_database(sharedline, engine):
    engine.dispose()
    whole = sharedline.path.read_bytes()
    sharedline.path.write_bytes(whole[: len(whole) // 2 // 4096 * 4096])
    code, line = sharedline.refuses("numbers", "list")
    assert code == FAILED
    assert str(sharedline.path) in line
    assert "damaged" in line or "malformed" in line


@pytest.mark.parametrize("words", [("numbers", "list"), ("db", "upgrade")], ids=" ".join)
def test_a_directory(bare, words):
    bare.path.mkdir()
    expected = f"cannot use the database at {bare.path}: unable to open database file"
    assert (FAILED, expected) == bare.refuses(*words)


def test_an_empty_file_is_an_old_database(bare):
    bare.path.touch()
    expected = "the database is older than this program: run `sharedline db upgrade`"
    assert (FAILED, expected) == bare.refuses("numbers", "list")


def test_a_database_that_cannot_be_written(sharedline):
    sharedline.env["SHAREDLINE_DATABASE_URL"] = f"sqlite:///file:{sharedline.path}?mode=ro&uri=true"
    expected = "the database can't be used now: attempt to write a readonly database"
    assert (FAILED, expected) == sharedline.refuses("numbers", "add", "+4930123456")
    assert sharedline.json("numbers", "list") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_of_somebody_else(tmp_path):
    tmp_path.chmod(0o700)
    code = (
        "import os; from cli.main import main; import cli.db, alembic.context;"
        "os.setgid(65534); os.setuid(65534); main(['db', 'upgrade'])"
    )
    env = {"SHAREDLINE_DATABASE_URL": f"sqlite:///{tmp_path}/x/sharedline.db"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Permission denied" in done.stderr
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)


@pytest.mark.parametrize("url", ["postgresql://db/sharedline", "sqlite", "nonsense://"])
def test_a_url_that_names_no_sqlite_file(bare, url):
    code, line = bare.refuses("numbers", "list", SHAREDLINE_DATABASE_URL=url)
    assert code == FAILED
    assert "sqlite:///PATH" in line


def test_a_database_that_somebody_else_writes_to(sharedline, monkeypatch):
    monkeypatch.setattr("ari_app.store.engine.BUSY_TIMEOUT_S", 0.1)
    other = sqlite3.connect(sharedline.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    expected = "the database can't be used now: database is locked"
    assert (FAILED, expected) == sharedline.refuses("numbers", "add", "+4930123456")
    other.rollback()
    other.close()
    assert sharedline.json("numbers", "list") == []


def test_upgrade_and_check_say_where_and_what(bare):
    assert [f"the database at {bare.path} is at version 0001"] == bare("db", "upgrade")
    assert [f"the database at {bare.path} is sound, version 0001"] == bare("db", "check")


def test_a_wrong_setting_is_one_line(sharedline):
    code, line = sharedline.refuses("numbers", "list", SHAREDLINE_REGION="germany")
    assert code == FAILED
    assert line.startswith("SHAREDLINE_REGION: ")
