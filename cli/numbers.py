"""`sharedline numbers`: the shared lines and how they ring."""

from collections.abc import Callable
from typing import Any

import click

from ari_app.core.plan import Strategy
from ari_app.store import config
from ari_app.store.config import NumberRow
from cli import database, screen, values
from cli.confirm import confirm, yes_option
from cli.members import member_table

RING_S = click.IntRange(5, 120)
RETRY_S = click.IntRange(1, 60)
MAX_WAIT_S = click.IntRange(10, 3600)

_OPTIONS = (
    ("--label", values.LABEL, "", "What people call the number."),
    (
        "--strategy",
        click.Choice([kind.value for kind in Strategy]),
        Strategy.RING_ALL.value,
        "Who is offered a call.",
    ),
    ("--ring-s", RING_S, 20, "Seconds a phone rings before the next, or the next round."),
    ("--retry-s", RETRY_S, 5, "Seconds between rounds, when all were tried."),
    ("--max-wait-s", MAX_WAIT_S, 60, "Seconds after which a caller goes to the fallback."),
    (
        "--fallback",
        values.FALLBACK,
        config.ANNOUNCE,
        "announce, number:+E164 or extension:EXTEN@CONTEXT.",
    ),
)


def _settings(*, defaults: bool) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for name, kind, default, text in reversed(_OPTIONS):
            given: Any = {"default": default, "show_default": True} if defaults else {}
            command = click.option(name, type=kind, help=text, **given)(command)
        return command

    return decorate


@click.group()
def numbers() -> None:
    """The shared numbers and how they ring."""


@numbers.command(
    epilog=screen.example(
        "sharedline numbers add +4930123456 --label Sales --fallback number:+4930999999"
    )
)
@click.argument("number", type=values.NEW_NUMBER)
@_settings(defaults=True)
def add(number: str, **settings: Any) -> None:
    """Add NUMBER."""
    configured, engine = database.opened()
    with config.changing(engine) as db:
        config.add_number(db, number, configured.app, settings)
        row = config.find_number(db, number)
    screen.say(_sentence(row))


@numbers.command("list", epilog=screen.example("sharedline numbers list --json"))
@screen.json_option
def list_(as_json: bool) -> None:
    """List all numbers."""
    _, engine = database.opened()
    with config.reading(engine) as db:
        rows = config.list_numbers(db)
    if as_json:
        screen.as_json([screen.record(row) for row in rows])
        return
    headings = ("number", "label", "strategy", "members", "fallback")
    screen.table(headings, [[getattr(row, name) for name in headings] for row in rows])


@numbers.command(epilog=screen.example("sharedline numbers show +4930123456"))
@click.argument("number", type=values.NUMBER)
@screen.json_option
def show(number: str, as_json: bool) -> None:
    """Show NUMBER: its settings and members."""
    _, engine = database.opened()
    with config.reading(engine) as db:
        row = config.find_number(db, number)
        members = config.list_members(db, number)
    if as_json:
        people = [screen.record(member, "number") for member in members]
        screen.as_json(screen.record(row) | {"members": people})
        return
    screen.sheet([(name, value) for name, value in screen.record(row, "members").items()])
    screen.say("")
    member_table(members)


@numbers.command(
    "set",
    epilog=screen.example("sharedline numbers set +4930123456 --strategy in-order --ring-s 15"),
)
@click.argument("number", type=values.NUMBER)
@_settings(defaults=False)
def set_(number: str, **settings: Any) -> None:
    """Change settings of NUMBER; what isn't named stays. The next call goes by them."""
    changes = {name: value for name, value in settings.items() if value is not None}
    if not changes:
        raise click.UsageError("nothing to change: give at least one option")
    _, engine = database.opened()
    with config.changing(engine) as db:
        config.set_number(db, number, changes)
        row = config.find_number(db, number)
    screen.say(_sentence(row))


@numbers.command(epilog=screen.example("sharedline numbers remove +4930123456 --yes"))
@click.argument("number", type=values.NUMBER)
@yes_option
def remove(number: str, yes: bool) -> None:
    """Remove NUMBER and its memberships. Its calls stay in the history."""
    _, engine = database.opened()
    with config.reading(engine) as db:
        row = config.find_number(db, number)
    confirm(f"Remove {_named(row)} with {_counted(row)}?", yes=yes)
    with config.changing(engine) as db:
        config.remove_number(db, number)
    screen.say(f"{_named(row)} is no longer a shared number")


def _named(row: NumberRow) -> str:
    return f"{row.number} ({row.label})" if row.label else row.number


def _counted(row: NumberRow) -> str:
    return "1 member" if row.members == 1 else f"{row.members} members"


def _sentence(row: NumberRow) -> str:
    return (
        f"{_named(row)} rings {_counted(row)} {row.strategy}, {row.ring_s} s each, again after"
        f" {row.retry_s} s, for at most {row.max_wait_s} s, then {row.fallback}"
    )
