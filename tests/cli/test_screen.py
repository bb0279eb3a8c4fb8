"""Nothing that comes from outside steers a terminal or is read as markup."""

import pytest

from cli import screen
from cli.main import NOUNS, main

NASTY = "[red]x[/red] \x1b[2J \x07 \r\n \u202e \ud800 \x9b31m é 漢 😀"
TAME = "[red]x[/red] \\x1b[2J \\x07 \\r\\n \\u202e \\ud800 \\x9b31m é 漢 😀"


def test_what_steers_a_terminal_is_spelt_out():
    assert screen.safe(NASTY) == TAME


def test_lines_tables_and_sheets(capsys):
    screen.say(NASTY)
    screen.table(["a"], [[NASTY]])
    screen.sheet([("a", NASTY)])
    assert capsys.readouterr().out.splitlines() == [TAME, "a", TAME, f"a  {TAME}"]


def test_a_table_in_a_pipe_is_never_cut(capsys):
    screen.table(["a", "b"], [["x" * 3000, None], [True, False]])
    assert capsys.readouterr().out.splitlines()[1:] == ["x" * 3000, f"yes{' ' * 2999}no"]


def test_json_is_ascii_with_instants_in_words(capsys):
    screen.as_json([NASTY])
    assert capsys.readouterr().out.isascii()


@pytest.mark.parametrize("text", ["[bold]ann[/bold]", ":smile:", "[/]", "[link=x]y"])
def test_names_are_never_markup(shell, text):
    shell.ok("agents", "add", text, "--endpoint", "PJSIP/a")
    assert shell.lines("agents", "list")[1].startswith(f"{text}  ")
    assert shell.lines("agents", "show", text)[0] == f"name     {text}"


def commands():
    for noun in NOUNS:
        command = main.get_command(None, noun)
        inner = getattr(command, "commands", {})
        yield from ((noun, verb) for verb in inner)
        if not inner:
            yield (noun,)


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_help_has_an_example_that_starts_with_the_command(shell, words):
    printed = shell.ok(*words, "--help")
    assert f"Example:\n    sharedline {' '.join(words)}" in printed


def test_no_words_at_all_is_the_help(shell):
    result = shell.run()
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: sharedline")


def test_serve_without_a_password_is_one_line(shell):
    expected = "no ARI password: set SHAREDLINE_ARI_PASSWORD or SHAREDLINE_ARI_PASSWORD_FILE"
    assert shell.refused("serve") == expected
