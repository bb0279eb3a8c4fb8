"""`sharedline serve`: run the controller in this process."""

import click

from ari_app.settings import load_settings
from cli import screen


@click.command(epilog=screen.example("sharedline serve"))
@click.pass_context
def serve(ctx: click.Context) -> None:
    """Run the controller until SIGTERM or Ctrl-C.

    Live calls stay up when it stops.
    """
    from ari_app.runtime.serve import serve as run  # noqa: PLC0415 - only this command needs it

    ctx.exit(run(load_settings()))
