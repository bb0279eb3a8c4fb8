"""What all commands share: help, versions, errors, completion, and a real terminal."""

import os
import pty
import select
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from cli.main import NOUNS, main

SALES, HELP = "+4930123456", "+4930123457"
CHECKOUT = Path(__file__).parents[2]


def commands():
    """(words, command) of every command and group."""
    found, context = [((), main)], click.Context(main)
    for noun in main.list_commands(context):
        group = main.get_command(context, noun)
        found.append(((noun,), group))
        found += [((noun, verb), each) for verb, each in getattr(group, "commands", {}).items()]
    return found


COMMANDS = commands()
VERBS = [words for words, command in COMMANDS if not isinstance(command, click.Group)]


# --- help


def test_the_nouns():
    expected = ("numbers", "agents", "members", "calls", "serve", "db", "doctor")
    assert expected == NOUNS
    assert [words[0] for words, _ in COMMANDS if len(words) == 1] == list(expected)


@pytest.mark.parametrize("words", [words for words, _ in COMMANDS], ids=" ".join)
def test_every_help_explains_itself(bare, words):
    text = bare.ok(*words, "--help")
    assert text.startswith(f"Usage: {' '.join(('sharedline', *words))} ")
    if words in VERBS:
        assert f"sharedline {' '.join(words)}" in text.partition("Example:")[2]


def test_every_listing_can_be_read_by_programs():
    readers = [(words, each) for words, each in COMMANDS if words[-1:] in {("list",), ("show",)}]
    assert len(readers) >= 7
    without = [words for words, each in readers if "as_json" not in {p.name for p in each.params}]
    assert without == []


def test_the_version(bare):
    assert bare.lines("--version") == [f"sharedline {version('sharedline')}"]


# --- typed wrong: one line, exit code 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("bogus",), "No such command 'bogus' (see `sharedline --help`)"),
        (("--bogus",), "No such option '--bogus' (see `sharedline --help`)"),
        (("numbers", "bogus"), "No such command 'bogus' (see `sharedline numbers --help`)"),
        (("numbers", "add"), "Missing argument 'NUMBER' (see `sharedline numbers add --help`)"),
        (
            ("numbers", "list", "--bogus"),
            "No such option '--bogus' (see `sharedline numbers list --help`)",
        ),
        (
            ("numbers", "list", "x"),
            "Got unexpected extra argument (x) (see `sharedline numbers list --help`)",
        ),
        (
            ("numbers", "add", SALES, "--label"),
            "Option '--label' requires an argument (see `sharedline --help`)",
        ),
    ],
)
def test_typed_wrong(shell, words, expected):
    assert shell.refuses(*words) == (2, expected)


@pytest.mark.parametrize(
    "words", [(), *((noun,) for noun in NOUNS if noun not in {"serve", "doctor"})]
)
def test_half_a_command_shows_the_help(shell, words):
    result = shell.run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: sharedline ")


def test_no_word_can_steer_the_terminal(shell):
    code, line = shell.refuses("\x1b[2J\x07\u202e\n")
    assert code == 2
    assert line.isprintable()  # refuses() has seen that it is one line


# --- settings and the database


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"SHAREDLINE_REGION": "Germany"}, "SHAREDLINE_REGION: "),
        ({"SHAREDLINE_APP": "a b"}, "SHAREDLINE_APP: "),
        ({"SHAREDLINE_DB_PATIENCE_S": "soon"}, "SHAREDLINE_DB_PATIENCE_S: "),
        ({"SHAREDLINE_DATABASE_URL": "postgresql://x"}, "database 'postgresql' is not supported"),
        ({"SHAREDLINE_DATABASE_URL": "nonsense"}, "bad database URL, write sqlite:///PATH: "),
    ],
)
def test_a_wrong_setting(shell, env, expected):
    for words in (("numbers", "add", SALES), ("agents", "list"), ("db", "check")):
        code, line = shell.refuses(*words, env=env)
        assert code == 1
        assert line.startswith(expected)


def test_serve_without_a_password_says_where_it_belongs(shell):
    expected = "no ARI password: set SHAREDLINE_ARI_PASSWORD or SHAREDLINE_ARI_PASSWORD_FILE"
    assert (1, expected) == shell.refuses("serve")


def test_serve_without_a_database(bare):
    env = {"SHAREDLINE_ARI_PASSWORD": "x"}
    expected = (1, f"no database at {bare.path}: run `sharedline db upgrade`")
    assert expected == bare.refuses("serve", env=env)


def test_a_number_is_of_the_shard_that_the_settings_name(shell, engine):
    shell.ok("numbers", "add", SALES, env={"SHAREDLINE_APP": "berlin"})
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT e164, shard FROM number").all()
    assert [tuple(row) for row in found] == [(SALES, "berlin")]


# --- completion


@pytest.fixture
def team(shell):
    for number in (SALES, HELP):
        shell.ok("numbers", "add", number)
    for name in ("ann", "anton", "bob"):
        shell.ok("agents", "add", name, "--endpoint", f"PJSIP/{name}")
    return shell


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("num",), ["numbers"]),
        (("numbers", "s"), ["set", "show"]),
        (("numbers", "show", ""), [SALES, HELP]),
        (("numbers", "show", SALES), [SALES]),
        (("members", "add", SALES, ""), ["ann", "anton", "bob"]),
        (("members", "add", SALES, "an"), ["ann", "anton"]),
        (("agents", "remove", "b"), ["bob"]),
        (("agents", "set", "ann", "--remove-device", "PJSIP/an"), ["PJSIP/ann", "PJSIP/anton"]),
        (("agents", "show", "zoe"), []),
        (("numbers", "add", SALES, "--strategy", ""), ["ring-all", "in-order"]),
    ],
)
def test_completion(team, words, expected):
    assert team.completes(*words) == expected


HALF_TYPED = [("numbers", "show", ""), ("agents", "show", ""), ("members", "add", SALES, "a")]


@pytest.mark.parametrize("words", HALF_TYPED)
def test_completion_without_a_database_offers_nothing_and_makes_none(bare, words):
    assert bare.completes(*words) == []
    assert not bare.path.exists()


@pytest.mark.parametrize("words", HALF_TYPED)
def test_completion_never_fails(bare, words):
    bare.path.write_text("no database " * 1_000)
    assert bare.completes(*words) == []
    for url in ("postgresql://x", "nonsense"):
        assert bare.completes(*words, env={"SHAREDLINE_DATABASE_URL": url}) == []
    assert bare.completes(*words, env={"SHAREDLINE_REGION": "Germany"}) == []


# --- a real terminal: the process is started as a person would


def on_terminal(shell, *words, answer=""):
    """(exit code, all that the terminal got)."""
    ours, theirs = pty.openpty()
    env = {
        **os.environ,
        "SHAREDLINE_DATABASE_URL": shell.url,
        "SHAREDLINE_ENV_FILE": "/nowhere",
        "SHAREDLINE_REGION": "DE",
        "TERM": "xterm-256color",
        "COLUMNS": "60",
    }
    program = [sys.executable, "-c", "from cli.main import main; main()", *words]
    process = subprocess.Popen(
        program, cwd=CHECKOUT, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = read_all(ours)
    os.close(ours)
    return process.wait(10), shown


def read_all(terminal, deadline_s=20):
    shown, until = b"", time.monotonic() + deadline_s
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            read = os.read(terminal, 4096)
        except OSError:  # EIO: the other side is closed
            return shown.decode()
        shown += read
    raise AssertionError(f"still running, having shown {shown!r}")


def test_a_person_is_asked_and_agrees(shell):
    shell.ok("numbers", "add", SALES, "--label", "[b]Sales[/b]")
    code, shown = on_terminal(shell, "numbers", "remove", SALES, answer="y\n")
    assert code == 0
    assert f"Remove {SALES} ([b]Sales[/b]) with 0 members? [y/N]: " in shown
    assert shell.json("numbers", "list") == []


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"])
def test_a_person_is_asked_and_does_not_agree(shell, answer):
    shell.ok("agents", "add", "ann")
    code, shown = on_terminal(shell, "agents", "remove", "ann", answer=answer)
    assert code == 1
    assert "Remove ann (no phone yet)? [y/N]: " in shown
    assert "Traceback" not in shown
    assert len(shell.json("agents", "list")) == 1


def test_a_table_on_a_terminal_reads_no_markup_and_cuts_nothing(shell):
    name = "[red]evil[/red] [link=https://x]" + "x" * 32
    shell.ok("agents", "add", name)
    code, shown = on_terminal(shell, "agents", "list")
    assert code == 0
    assert "[red]evil[/red]" in shown
    assert "…" not in shown
    assert "\x1b]8" not in shown  # the escape sequence of a link
