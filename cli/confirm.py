"""Removing asks first: `--yes`, or an answer on the terminal."""

import sys

import click

from cli.screen import safe

yes_option = click.option("--yes", is_flag=True, help="Don't ask.")


def confirm(question: str, *, yes: bool) -> None:
    """Return if the user agrees. Raises click.Abort if not, UsageError where nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on: add --yes if you are sure")
    click.confirm(safe(question), abort=True)
