"""The home folder: who owns it, whose account it is, and where its server listens."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import string
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clary.agent.contract import write_document
from clary.domain.names import Account
from clary.settings import Settings
from clary.store.base import Credential, Store

CONNECTION = "connection.json"
SERVER_ID = "server-id"
_MAY_COME_FIRST = frozenset({"jobs", "objects", "server.lock", "server.log", "instances.toml", "tls"})
"""What may lie in a home before its first server has ended its start."""


class NotAHome(Exception):
    """The folder is somebody else's: it would be closed to others, and mixed with what is kept here."""


class CannotListen(OSError):
    """The address is taken, or not one of this machine's."""


class HomeInUse(Exception):
    """Another server runs in this home."""


class NotTogether(Exception):
    """This home and this database do not belong together: a server would sweep from the one what the other lacks."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What a client needs to know; `<home>/connection.json`, readable by the owner alone."""

    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    account_id: str
    role_arn: str
    bucket: str
    ca_bundle: str | None
    pid: int


def prepare(home: Path) -> None:
    """Make the home and its folders, closed to others, whatever the umask. Raises OSError, NotAHome."""
    if home.is_dir() and not (home / SERVER_ID).exists():
        others = sorted({path.name for path in home.iterdir()} - _MAY_COME_FIRST)
        others = [name for name in others if not name.startswith("clary.db")]
        if others:
            raise NotAHome(
                f"{home} is no home of Clary's: it holds {', '.join(others[:3])}{', ...' * (len(others) > 3)}. "
                "Give an empty folder, or one that does not exist yet"
            )
    for folder in (home, home / "jobs", home / "objects"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)


def lock(home: Path) -> int:
    """Take the home for this process until it ends; gives the descriptor that holds it. Raises HomeInUse."""
    descriptor = os.open(home / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for pause_s in (0.05, 0.1, 0.2, 0.0):  # `is_locked` of another process may hold it for a moment
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(pause_s)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
    os.close(descriptor)
    raise HomeInUse(f"a server already runs in {home}; `clary status --home {home}` says where")


def is_locked(home: Path) -> bool:
    """True while a server runs in this home."""
    if not (home / "server.lock").exists():
        return False
    descriptor = os.open(home / "server.lock", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # several may ask at once
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def holder(home: Path) -> int | None:
    """The pid of the server that runs in this home. `connection.json` may still name the one before it."""
    pid = (home / "server.lock").read_text("ascii") if is_locked(home) else ""
    return int(pid) if pid else None


def open_account(store: Store, settings: Settings) -> tuple[Account, Credential]:
    """The account this database belongs to; made at the first start, the same ever after."""
    drawn = {
        "id": "".join(secrets.choice(string.digits[1:]) for _ in range(12)),
        "access_key_id": "AKIA" + _letters(string.ascii_uppercase + "234567", 16),
        "secret_access_key": _letters(string.ascii_letters + string.digits, 40),
    }
    kept = store.put_once("account", drawn)
    credential = Credential(kept["access_key_id"], kept["secret_access_key"])
    store.put_credential(credential)
    return Account(id=kept["id"], region=settings.region), credential


def open_identity(home: Path, store: Store, account: Account) -> str:
    """This home's name, the same after a restart: the owner of its leases, and of its database.

    Raises NotTogether for a database that another home was given, or another than this home was given.
    """
    path = home / SERVER_ID
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {"id": secrets.token_hex(8)}
    if kept.get("account", account.id) != account.id:
        raise NotTogether(
            f"{home} was made with another database: give the --database-url (or CLARY_DATABASE_URL) it was made "
            "with, or another --home"
        )
    if not path.exists():
        # before the database knows it, so that a crash in between locks nobody out
        write_document(path, kept)
    if store.put_once("home", {"id": kept["id"]})["id"] != kept["id"]:
        raise NotTogether(
            f"the database belongs to another home than {home}: give that --home, or another --database-url"
        )
    if "account" not in kept:
        write_document(path, {**kept, "account": account.id})
    return str(kept["id"])


def listen(settings: Settings, find_previous: Callable[[Path], Connection | None]) -> socket.socket:
    """A listening socket. Port 0 means any, the one used before if it is free: jobs under way know that one.

    Raises CannotListen.
    """
    before = None
    if settings.port == 0:
        with suppress(ValueError, TypeError):  # one that cannot be read is written anew
            before = find_previous(settings.home)
    ports = [int(before.endpoint.rsplit(":", 1)[1]), 0] if before else [settings.port]
    for port in ports[:-1]:
        try:
            return _bind(settings.host, port)
        except OSError:
            continue
    try:
        return _bind(settings.host, ports[-1])
    except OSError as error:
        where = f"{settings.host}, port {ports[-1]}"
        raise CannotListen(
            f"cannot listen on {where}: {error.strerror}; give another --host or --port"
        ) from error


def write_connection(home: Path, connection: Connection) -> None:
    write_document(home / CONNECTION, asdict(connection))


def read_connection(home: Path) -> Connection | None:
    """What the last server in this home wrote, whether or not it still runs. None where there never was one."""
    try:
        document: dict[str, Any] = json.loads((home / CONNECTION).read_text("utf-8"))
    except FileNotFoundError:
        return None
    return Connection(**document)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with the protocol named, asyncio switches Nagle's delay off on what it accepts: 40 ms an answer otherwise
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _letters(alphabet: str, count: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(count))
