"""Find the server that a home or an address names, and make sure that it answers."""

from __future__ import annotations

import http.client
import json
import shlex
import ssl
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from clary.server.home import Connection, read_connection
from clary.settings import read_settings

ANSWER_WITHIN_S = 10.0


class NotConnected(Exception):
    """No server answers there."""


def find_server(home: Path | str | None = None, endpoint: str | None = None) -> Connection:
    """The connection of the server of a home (default: CLARY_HOME, or ~/.clary), after it answered.

    `endpoint` is another address of that same server. Raises NotConnected, which says what to do.
    """
    folder = read_settings(home=home).home
    connection = _read(folder)
    if endpoint is not None:
        connection = replace(connection, endpoint=endpoint.rstrip("/"))
    _check(connection, folder)
    return connection


def _read(home: Path) -> Connection:
    try:
        connection = read_connection(home)
    except (OSError, ValueError, TypeError) as problem:
        raise NotConnected(f"{home / 'connection.json'} cannot be read: {problem}") from problem
    if connection is None:
        raise NotConnected(f"no server has run in {home}: start one with {_up(home)}")
    return connection


def _check(connection: Connection, home: Path) -> None:
    try:
        document = _health(connection)
    except (OSError, ValueError, http.client.HTTPException) as problem:
        raise NotConnected(
            f"no server answers at {connection.endpoint} ({problem}): start one with {_up(home)}"
        ) from problem
    if document.get("status") != "ok":
        raise NotConnected(f"the server at {connection.endpoint} is not well: {document}")


def _health(connection: Connection) -> dict[str, object]:
    url = urlsplit(connection.endpoint)
    peer: http.client.HTTPConnection
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=connection.ca_bundle)
        peer = http.client.HTTPSConnection(
            url.hostname or "", url.port, timeout=ANSWER_WITHIN_S, context=context
        )
    else:
        peer = http.client.HTTPConnection(url.hostname or "", url.port, timeout=ANSWER_WITHIN_S)
    try:
        peer.request("GET", "/_clary/health")
        answer = peer.getresponse()
        body = answer.read()
    finally:
        peer.close()
    if answer.status != 200:
        raise ValueError(f"it answered {answer.status}, so it is not Clary")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("it is not Clary")
    return document


def home_words(home: Path) -> str:
    """What a command is to say of this home: ` --home FOLDER`, or nothing for the one it finds by itself."""
    return "" if home == read_settings().home else f" --home {shlex.quote(str(home))}"


def _up(home: Path) -> str:
    return f"`clary up{home_words(home)}`"
