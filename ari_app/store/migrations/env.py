"""How Alembic reaches our engine and tables. Batch mode: SQLite can't alter columns in place."""

from alembic import context
from sqlmodel import SQLModel

from ari_app.store import tables  # noqa: F401 - registers the tables

engine = context.config.attributes["engine"]
with engine.connect() as connection:
    context.configure(
        connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
