"""Alembic migrations; run by `engine.upgrade`."""
