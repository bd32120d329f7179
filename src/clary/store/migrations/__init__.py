"""Alembic migrations. They are written by hand and import nothing of Clary, so that they never change."""
