"""`sharedline db`: make, migrate and check the database."""

import click

from ari_app.store import engine as store
from cli import database, screen


@click.group()
def db() -> None:
    """Make, migrate and check the database."""


@db.command(epilog=screen.example("sharedline db upgrade"))
def upgrade() -> None:
    """Make the database, or bring it to this program's version."""
    engine = database.unchecked()
    store.upgrade(engine)
    store.check(engine)
    screen.say(f"the database at {store.database_path(engine)} is at version {store.head()}")


@db.command(epilog=screen.example("sharedline db check"))
def check() -> None:
    """Check that the database is there, sound and of this program's version."""
    _, engine = database.opened()
    store.check(engine, deeply=True)
    screen.say(f"the database at {store.database_path(engine)} is sound, version {store.head()}")
