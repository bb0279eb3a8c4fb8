"""`sharedline`: the nouns, and how every error becomes one line.

Contract: exit code 0 for done, 2 for a command that was typed wrong, 1 for everything else; the
line goes to stderr and says what to do; never a traceback for what a user or a disk can cause.
A noun is the module cli.NOUN with the command NOUN in it, imported when it is asked for.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from ari_app.settings import SettingsError
from ari_app.store.engine import StoreError
from cli.screen import example, safe

NOUNS = ("numbers", "agents", "members", "calls", "serve", "db", "doctor")
FAILED, TYPED_WRONG = 1, 2


class Sharedline(click.Group):
    """The group of all nouns, whose errors are one line each."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """In the order in which they are met when setting up."""
        return list(NOUNS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The noun's command."""
        if cmd_name not in NOUNS:
            return None
        command: click.Command = getattr(importlib.import_module(f"cli.{cmd_name}"), cmd_name)
        return command

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = "sharedline",
        *rest: Any,
        **extra: Any,
    ) -> Any:
        """Run, print the one line if need be, and exit."""
        try:
            code = super().main(args, prog_name, *rest, **extra | {"standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            code = TYPED_WRONG
        except click.UsageError as error:
            code = _refuse(_usage(error), TYPED_WRONG)
        except click.Abort:
            code = _refuse("stopped; nothing was changed", FAILED)
        except BrokenPipeError:  # `sharedline calls list | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = FAILED
        except (SettingsError, StoreError, OSError) as error:
            code = _refuse(str(error), FAILED)
        sys.exit(code if isinstance(code, int) else 0)


def _usage(error: click.UsageError) -> str:
    message = error.format_message().rstrip(".")
    where = error.ctx.command_path if error.ctx else "sharedline"
    return f"{message} (see `{where} --help`)"


def _refuse(message: str, code: int) -> int:
    click.echo(f"sharedline: {safe(message)}", err=True)
    return code


@click.group(
    cls=Sharedline,
    epilog=example(
        "sharedline db upgrade",
        "sharedline numbers add +4930123456 --label Sales",
        "sharedline agents add ann --phone",
        "sharedline members add +4930123456 ann",
        "sharedline serve",
    ),
)
@click.version_option(package_name="sharedline", message="%(prog)s %(version)s")
def main() -> None:
    """A shared phone number for a team, on the team's own Asterisk.

    Settings come from SHAREDLINE_* variables or /etc/sharedline/sharedline.env. Changes act on the
    next call, without a restart.
    """
