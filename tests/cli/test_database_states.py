"""Every state a database can be in is one line that says what to do, from every command."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ari_app.store import engine as database

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
def test_a_database_from_the_future(shell, words):
    with sqlite3.connect(shell.path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    expected = "the database is from a newer sharedline (migration 9999): upgrade the program"
    assert (FAILED, expected) == shell.refuses(*words)


@pytest.mark.parametrize("words", [*COMMANDS, ("db", "upgrade")], ids=" ".join)
def test_a_file_that_is_no_database(bare, words):
    bare.path.write_text("Tyger Tyger, burning bright, " * 100)
    expected = f"cannot use the database at {bare.path}: file is not a database"
    assert (FAILED, expected) == bare.refuses(*words)


def test_a_damaged_database(shell, engine):
    engine.dispose()
    whole = shell.path.read_bytes()
    shell.path.write_bytes(whole[: len(whole) // 2 // 4096 * 4096])
    code, line = shell.refuses("numbers", "list")
    assert code == FAILED
    assert str(shell.path) in line
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


AS_SOMEBODY_ELSE = """
import os, sys
from cli.main import main
try:
    main(["numbers", "list"])  # imports everything while root may read it
except SystemExit:
    pass
os.setegid(65534)
os.seteuid(65534)
main(sys.argv[1:])
"""
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def as_somebody_else(path, *words):
    env = {"SHAREDLINE_DATABASE_URL": f"sqlite:///{path}", "SHAREDLINE_ENV_FILE": "/none"}
    done = subprocess.run(
        [sys.executable, "-c", AS_SOMEBODY_ELSE, *words],
        env=env,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    return done.returncode, line


@only_root
def test_a_database_that_may_only_be_read(shell, engine):
    engine.dispose()
    with tempfile.TemporaryDirectory() as folder:  # tmp_path can't even be entered by others
        path = Path(folder) / "sharedline.db"
        path.write_bytes(shell.path.read_bytes())
        Path(folder).chmod(0o755)
        code, line = as_somebody_else(path, "numbers", "add", "+4930123456")
    assert code == FAILED
    assert line in {
        f"sharedline: cannot use the database at {path}: unable to open database file",
        "sharedline: the database can't be used now: attempt to write a readonly database",
    }


@only_root
def test_a_database_in_a_folder_that_is_closed_to_us(shell):
    denied = "Permission denied: run as its owner"
    expected = f"sharedline: cannot use the database at {shell.path}: {denied}"
    assert as_somebody_else(shell.path, "numbers", "list") == (FAILED, expected)


@pytest.mark.parametrize("url", ["postgresql://db/sharedline", "sqlite", "nonsense://"])
def test_a_url_that_names_no_sqlite_file(bare, url):
    code, line = bare.refuses("numbers", "list", env={"SHAREDLINE_DATABASE_URL": url})
    assert code == FAILED
    assert "sqlite:///PATH" in line


def test_a_database_that_somebody_else_writes_to(shell, monkeypatch):
    monkeypatch.setattr("ari_app.store.engine.BUSY_TIMEOUT_S", 0.1)
    other = sqlite3.connect(shell.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    expected = "the database can't be used now: database is locked"
    assert (FAILED, expected) == shell.refuses("numbers", "add", "+4930123456")
    other.rollback()
    other.close()
    assert shell.json("numbers", "list") == []


def test_upgrade_and_check_say_where_and_what(bare):
    head = database.head()
    assert [f"the database at {bare.path} is at version {head}"] == bare.lines("db", "upgrade")
    assert [f"the database at {bare.path} is sound, version {head}"] == bare.lines("db", "check")


def test_a_wrong_setting_is_one_line(shell):
    code, line = shell.refuses("numbers", "list", env={"SHAREDLINE_REGION": "germany"})
    assert code == FAILED
    assert line.startswith("SHAREDLINE_REGION: ")
