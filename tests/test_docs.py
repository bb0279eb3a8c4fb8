"""The docs name every command, option and setting, and nothing that doesn't exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from ari_app.settings import DEFAULT_ENV_FILE, Settings
from cli.main import main

TOP = Path(__file__).parent.parent
DOCS = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])
CLI = TOP / "docs/cli.md"
OPERATIONS = TOP / "docs/operations.md"
PREFIX = "SHAREDLINE_"
NO_SETTINGS = {"SHAREDLINE_ENV_FILE", "SHAREDLINE_DEBIAN_MIRROR"}  # read elsewhere
COMPLETE = "_SHAREDLINE_COMPLETE"
IN_THE_DIALPLAN = {"SHAREDLINE_REGION"}


def commands(command=main, ctx=None, name="sharedline"):
    """Every command that does something, as its context (which knows its path)."""
    ctx = click.Context(command, info_name=name, parent=ctx)
    if not isinstance(command, click.Group):
        return [ctx]
    children = ((each, command.get_command(ctx, each)) for each in command.list_commands(ctx))
    return [found for each, child in children for found in commands(child, ctx, each)]


def path(ctx):
    """As in "sharedline numbers add": without what a parent's arguments would add."""
    return " ".join([path(ctx.parent), ctx.info_name]) if ctx.parent else ctx.info_name


def options(ctx):
    params = [param for param in ctx.command.params if isinstance(param, click.Option)]
    return {name for param in params for name in [*param.opts, *param.secondary_opts]}


def section(ctx):
    """The part of docs/cli.md under the command's heading."""
    start = rf"^### {re.escape(path(ctx))}( [A-Z]+)*\n"
    found = re.search(rf"{start}(.*?)(?=^##|\Z)", CLI.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no heading for {path(ctx)}"
    return found.group(2)


def examples(text):
    """The words of every `sharedline ...` line in a help text, or in a code block of a page."""
    lines = re.findall(r"^\s*(?:\$ )?(sharedline [^\n#]*)", text, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


def fenced(page):
    return "\n".join(re.findall(r"^```\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))


def check_parses(words):
    """Raises click.UsageError unless the command line is one; runs nothing."""
    ctx, command = None, main
    while isinstance(command, click.Group):
        ctx = command.make_context(words[0] if ctx else "sharedline", words[:], parent=ctx)
        _, command, words = command.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
    command.make_context("command", words, parent=ctx)


each_command = pytest.mark.parametrize("ctx", commands(), ids=path)
each_page = pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(TOP)))
each_setting = pytest.mark.parametrize("name", Settings.model_fields)


# -- commands


def test_there_are_commands():
    assert {"sharedline numbers add", "sharedline doctor"} <= {path(ctx) for ctx in commands()}


@each_command
def test_every_command_and_option_is_in_the_docs(ctx):
    text = section(ctx)
    missing = {name for name in options(ctx) - {"--help"} if f"`{name}" not in text}
    assert missing == set()
    assert examples(text), "an example is missing"


@each_command
def test_every_option_has_a_help_text(ctx):
    silent = [
        param.name
        for param in ctx.command.params
        if isinstance(param, click.Option) and not param.help
    ]
    assert silent == []


@each_command
def test_every_command_has_an_example_that_parses(ctx, monkeypatch):
    monkeypatch.setenv("SHAREDLINE_ENV_FILE", "/nowhere/sharedline.env")
    text = ctx.command.get_help(ctx)
    _, _, example = text.partition("Example:\n")
    assert example, f"{path(ctx)} --help has no Example"
    given = examples(example)
    assert given
    assert all(" ".join(["sharedline", *words]).startswith(path(ctx)) for words in given)
    for words in given:
        check_parses(words)


def test_the_docs_name_no_command_that_does_not_exist():
    known = {path(ctx) for ctx in commands()}
    headings = re.findall(r"^### (sharedline(?: [a-z-]+)+)", CLI.read_text(), re.MULTILINE)
    assert set(headings) == known
    assert len(headings) == len(known)


@each_page
def test_every_command_line_in_the_docs_parses(page, monkeypatch):
    monkeypatch.setenv("SHAREDLINE_ENV_FILE", "/nowhere/sharedline.env")
    for words in examples(fenced(page)):
        if not any(word in {"...", "|", ">"} for word in words):
            check_parses(words)


def test_completion_is_asked_for_by_the_name_that_click_uses():
    shells = set(re.findall(rf"{COMPLETE}=(\w+)_source sharedline", CLI.read_text()))
    assert shells == {"bash", "zsh", "fish"}


# -- settings


def row(name):
    """The cells of the setting's row in docs/operations.md."""
    variable = f"{PREFIX}{name.upper()}"
    found = re.findall(rf"^\| `{variable}` \|(.*)\|$", OPERATIONS.read_text(), re.MULTILINE)
    assert len(found) == 1, f"{variable} has {len(found)} rows in docs/operations.md"
    return [cell.strip() for cell in found[0].split("|", 1)]


@each_setting
def test_every_setting_has_one_row_with_its_default(name):
    default, meaning = row(name)
    value = Settings.model_fields[name].default
    shown = {None: "none", "": "empty"}.get(value, f"`{value}`")
    assert default == shown
    assert meaning


@each_setting
def test_every_setting_has_a_description(name):
    assert Settings.model_fields[name].description


@each_page
def test_no_page_names_a_setting_that_does_not_exist(page):
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(rf"(?<![A-Z_]){PREFIX}[A-Z_]*[A-Z]", page.read_text()))
    assert named - known - NO_SETTINGS - IN_THE_DIALPLAN == set()


def test_the_env_file_is_in_the_docs():
    assert f"`{DEFAULT_ENV_FILE}`" in OPERATIONS.read_text()
    assert DEFAULT_ENV_FILE in CLI.read_text()


# -- make, and links


@each_page
def test_no_page_names_a_make_target_that_does_not_exist(page):
    makefile = (TOP / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    text = page.read_text()
    named = set(re.findall(r"`make ([a-z]+)", text))
    named |= set(re.findall(r"^\s*make ([a-z]+)", fenced(page), re.MULTILINE))
    assert named - targets == set()


@each_page
def test_links_within_the_repository_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", page.read_text())
    dead = [link for link in links if not (page.parent / link).exists()]
    assert dead == []


def test_every_placeholder_of_the_configuration_that_one_sets_is_in_the_docs():
    placed = {
        name
        for conf in (TOP / "asterisk-conf").glob("*.conf")
        for name in re.findall(r"@([A-Z_]+)@", conf.read_text())
    }
    folders = {"ENTITY_ID", "ETC_DIR", "LOG_DIR", "RUN_DIR", "SPOOL_DIR", "STATE_DIR"}
    text = OPERATIONS.read_text()
    assert {name for name in placed - folders if f"`{name}`" not in text} == set()
