"""What the commands print: lines and tables for people, JSON for programs.

Contract: text from outside (names, caller names, what Asterisk says) never reaches the terminal
with markup or control characters in it. Instants are microseconds UTC in rows, the local time for
people, and ISO 8601 in UTC in JSON.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 10_000  # into a pipe nothing is wrapped or cut
SECONDS = 1_000_000

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def example(*lines: str) -> str:
    """The end of a help text."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def safe(text: object) -> str:
    """One line in which whatever could steer a terminal, or turn text around, is spelt out."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in str(text)
    )


def say(text: str) -> None:
    """One line on stdout."""
    click.echo(safe(text))


def table(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Rows under headings; None is shown as nothing, yes and no are words."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        grid.add_column(heading, overflow="fold")
    for row in rows:
        grid.add_row(*(_cell(value) for value in row))
    _print(grid)


def sheet(pairs: Iterable[tuple[str, object]]) -> None:
    """One thing: its properties, a line each."""
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(Text(name), _cell(value))
    _print(grid)


def as_json(value: Any) -> None:
    """JSON on stdout; ASCII only, so that no terminal can be steered by it."""
    click.echo(json.dumps(value, indent=2))


def record(row: Any, *leave_out: str) -> dict[str, Any]:
    """A row for JSON: instants (`..._at`, `at`) as ISO 8601 in UTC."""
    return {key: _plain(key, value) for key, value in asdict(row).items() if key not in leave_out}


def local(at: int | None) -> str:
    """An instant for people: local time to the second."""
    if at is None:
        return ""
    return datetime.fromtimestamp(at / SECONDS, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _plain(key: str, value: Any) -> Any:
    if value is not None and (key == "at" or key.endswith("_at")):
        return datetime.fromtimestamp(value / SECONDS, UTC).isoformat(timespec="microseconds")
    if isinstance(value, list | tuple):
        return [
            {k: _plain(k, v) for k, v in one.items()} if isinstance(one, Mapping) else one
            for one in value
        ]
    return value


def _cell(value: object) -> Text:
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    return Text("" if value is None else safe(value))


def _print(grid: Table) -> None:
    console = Console()
    if console.is_terminal:
        console.print(grid)
        return
    plain = Console(width=WIDE)
    with plain.capture() as captured:
        plain.print(grid)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())
