"""Fixtures for every test."""

from tests.postgres_server import postgres_database, postgres_url, second_postgres_database
from tests.server_process import database_options, server, shared_server, tls_server

__all__ = [
    "database_options",
    "postgres_database",
    "postgres_url",
    "second_postgres_database",
    "server",
    "shared_server",
    "tls_server",
]
