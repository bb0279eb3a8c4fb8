"""The command line as a person types it, on a database file of its own.

`shell.ok("numbers", "list")` is what it prints, `shell.lines(...)` the same as lines without their
padding; `shell.json(...)` is what a program reads; `shell.refused(...)` is the one line on stderr,
`shell.refuses(...)` that with the exit code; `shell.completes(...)` is what TAB offers.
"""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ari_app.store import engine as database
from cli.main import main


class Shell:
    """Runs commands in this process; they know the database of `url` and nothing else."""

    def __init__(self, url):
        self.url = url

    @property
    def path(self):
        return Path(self.url.removeprefix("sqlite:///"))

    def run(self, *words, env=None):
        known = {
            "SHAREDLINE_ENV_FILE": "/nowhere/sharedline.env",
            "SHAREDLINE_DATABASE_URL": self.url,
            "SHAREDLINE_REGION": "DE",
        }
        result = CliRunner(env=known | (env or {})).invoke(main, words, prog_name="sharedline")
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    def ok(self, *words, env=None):
        result = self.run(*words, env=env)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def lines(self, *words, env=None):
        return [line.rstrip() for line in self.ok(*words, env=env).splitlines()]

    def json(self, *words):
        return json.loads(self.ok(*words, "--json"))

    def refuses(self, *words, env=None):
        """(exit code, line). Nothing is on stdout, and the line can't steer a terminal."""
        result = self.run(*words, env=env)
        (line,) = result.stderr.splitlines()
        assert result.stdout == ""
        assert line.startswith("sharedline: ")
        assert line.isprintable()
        return result.exit_code, line.removeprefix("sharedline: ")

    def refused(self, *words, code=1, env=None):
        found, line = self.refuses(*words, env=env)
        assert found == code
        return line

    def completes(self, *words, env=None):
        """What bash is offered for the last word, which may be "" or half typed."""
        typed = {
            "_SHAREDLINE_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["sharedline", *words]),
            "COMP_CWORD": str(len(words)),
        }
        offered = self.lines(env=(env or {}) | typed)  # one empty line, if there is nothing
        return [line.removeprefix("plain,") for line in offered if line]


@pytest.fixture
def bare(tmp_path):
    """Before `db upgrade`."""
    return Shell(f"sqlite:///{tmp_path}/sharedline.db")


@pytest.fixture
def engine(bare):
    """The database, as the controller opens it."""
    engine = database.open_engine(bare.url)
    database.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def shell(bare):
    """After `db upgrade`."""
    engine = database.open_engine(bare.url)
    database.upgrade(engine)
    engine.dispose()
    return bare
