"""Point the running program, a notebook say, at Clary: `clary.connect()`."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from clary.client.environment import SHIM, apply_changes, client_environment
from clary.client.server import find_server
from clary.server.home import Connection as Record


def connect(home: Path | str | None = None, endpoint: str | None = None) -> Connection:
    """From here on, boto3 and the sagemaker SDKs in this program talk to the server of `home`.

    `home` is CLARY_HOME or ~/.clary unless given; `endpoint` is another address of the same server. Clients made
    before keep the address they were made with. Used in a `with` statement, all is as before at its end.
    Raises clary.client.server.NotConnected where no server answers.
    """
    return Connection(find_server(home, endpoint))


class Connection:
    """A program's hold on one server."""

    def __init__(self, record: Record) -> None:
        self._record = record
        changes = client_environment(record)
        self._before = {name: os.environ.get(name) for name in changes}
        _change_environment(changes)
        self._shim = _load_shim()
        self._target = self._shim.Target(
            endpoint=record.endpoint,
            region=record.region,
            access_key_id=record.access_key_id,
            secret_access_key=record.secret_access_key,
            ca_bundle=record.ca_bundle,
        )
        self._shim.install(self._target)
        _forget_clients()
        self._open = True

    @property
    def endpoint(self) -> str:
        """The server's URL."""
        return self._record.endpoint

    @property
    def region(self) -> str:
        return self._record.region

    @property
    def role(self) -> str:
        """ARN of the role to give to estimators."""
        return self._record.role_arn

    @property
    def bucket(self) -> str:
        """Name of the bucket that the SDKs use unless told otherwise."""
        return self._record.bucket

    def boto3_session(self) -> Any:
        """A boto3.Session of this server. Needs boto3."""
        import boto3

        return boto3.Session(
            aws_access_key_id=self._record.access_key_id,
            aws_secret_access_key=self._record.secret_access_key,
            region_name=self._record.region,
        )

    def close(self) -> None:
        """Put everything back as it was. Closing again does nothing."""
        if not self._open:
            return
        self._open = False
        self._shim.remove(self._target)
        _change_environment(self._before)
        _forget_clients()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Connection(endpoint={self.endpoint!r}, role={self.role!r}, bucket={self.bucket!r})"


def _change_environment(changes: Mapping[str, str | None]) -> None:
    merged = apply_changes(changes, os.environ)
    for name in changes:
        if name in merged:
            os.environ[name] = merged[name]
        else:
            os.environ.pop(name, None)


def _load_shim() -> ModuleType:
    """The shim by the name it has under `clary run`, so that one process never holds it twice."""
    loaded = sys.modules.get("clary_shim")
    if loaded is not None:
        return loaded
    folder = SHIM / "clary_shim"
    spec = importlib.util.spec_from_file_location(
        "clary_shim", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["clary_shim"] = module
    spec.loader.exec_module(module)
    return module


def _forget_clients() -> None:
    """Drop the sessions and clients that libraries keep for the whole process: they know another server."""
    boto3 = sys.modules.get("boto3")
    if boto3 is not None:
        boto3.DEFAULT_SESSION = None  # type: ignore[attr-defined]
    for name in ("sagemaker.core.utils.utils", "sagemaker_core.main.utils"):
        for keeper in ("SingletonMeta", "_ClientCacheMeta"):
            kept = getattr(getattr(sys.modules.get(name), keeper, None), "_instances", None)
            if kept is not None:
                kept.clear()
