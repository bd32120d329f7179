"""Runs migrations on the connection it is given; the caller's transaction holds them all."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
