"""Every setting: name, default, unit and meaning, in one frozen table. Read once, passed by constructor."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

DEFAULT_PORT = 7370
MOST_MIB = 1024
ISOLATIONS = ("auto", "bubblewrap", "none")


def _setting(default: Any, help_text: str, *, unit: str = "") -> Any:
    return field(default=default, metadata={"help": help_text, "unit": unit})


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server behaves. Each is also read from the environment as CLARY_<NAME>."""

    home: Path = _setting(Path("~/.clary"), "folder that holds all state")
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(DEFAULT_PORT, "port to listen on; 0 picks a free one")
    database_url: str = _setting("", "SQLAlchemy URL; empty for SQLite in the home")
    region: str = _setting("us-east-1", "AWS region that names and ARNs speak of")
    tls: bool = _setting(False, "serve HTTPS with a self-signed certificate kept in the home")
    python: str = _setting(sys.executable, "interpreter whose packages jobs run with")
    isolation: str = _setting("auto", "how jobs are confined: auto, bubblewrap or none")
    stop_grace_s: float = _setting(120.0, "from SIGTERM to SIGKILL when a job stops", unit="s")
    usage_period_s: float = _setting(15.0, "between two samples of a job's utilisation", unit="s")
    poll_s: float = _setting(0.1, "between two looks at a running job's folder", unit="s")
    lease_s: float = _setting(30.0, "a controller's hold on a resource it works on", unit="s")
    serverless_idle_s: float = _setting(
        300.0, "after which a serverless variant that nobody asks has no instance", unit="s"
    )
    scaling_period_s: float = _setting(
        60.0, "what a data point of autoscaling covers; less than a minute only for trials", unit="s"
    )
    invocation_timeout_s: float = _setting(60.0, "longest answer of an endpoint's model", unit="s")
    payload_mib: float = _setting(6.0, "largest request to, and answer of, an endpoint", unit="MiB")
    clock_skew_s: float = _setting(900.0, "largest age of a signed request's date", unit="s")

    @property
    def jobs(self) -> Path:
        return self.home / "jobs"

    @property
    def objects(self) -> Path:
        return self.home / "objects"

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.database_url or f"sqlite:///{self.home / 'clary.db'}"

    @property
    def database_file(self) -> Path | None:
        """SQLite's file; None for a database of another kind."""
        kind, _, path = self.url.partition(":///")
        return Path(path.partition("?")[0]) if kind.partition("+")[0] == "sqlite" and path else None


def read_settings(environment: Mapping[str, str] = os.environ, **given: Any) -> Settings:
    """Options given win over CLARY_* variables, which win over defaults. None counts as not given.

    Raises ValueError naming the variable when its text does not fit.
    """
    values: dict[str, Any] = {}
    for entry in fields(Settings):
        text = environment.get(f"CLARY_{entry.name.upper()}")
        if given.get(entry.name) is not None:
            values[entry.name] = given[entry.name]
        elif text:
            values[entry.name] = _parse(entry.name, type(entry.default), text)
    settings = Settings(**values)
    _check(settings)
    return replace(settings, home=Path(settings.home).expanduser().absolute())


def _check(settings: Settings) -> None:
    if settings.isolation not in ISOLATIONS:
        raise ValueError(f"CLARY_ISOLATION={settings.isolation!r}: say one of {', '.join(ISOLATIONS)}")
    if not 0 <= settings.port <= 65535:
        raise ValueError(f"CLARY_PORT={settings.port}: say a number from 0 to 65535")
    for entry in fields(Settings):
        value = getattr(settings, entry.name)
        if entry.metadata["unit"] == "s" and not 0 < value < math.inf:
            raise ValueError(f"CLARY_{entry.name.upper()}={value}: say a number of seconds above 0")
        if entry.metadata["unit"] == "MiB" and not 0 < value <= MOST_MIB:
            raise ValueError(
                f"CLARY_{entry.name.upper()}={value}: say a number of MiB above 0, at most {MOST_MIB}"
            )


def _parse(name: str, kind: type[Any], text: str) -> Any:
    if kind is bool:
        if text.lower() in {"1", "true", "yes", "on"}:
            return True
        if text.lower() in {"0", "false", "no", "off"}:
            return False
        raise ValueError(f"CLARY_{name.upper()}={text!r}: say true or false")
    try:
        return kind(text) if not issubclass(kind, Path) else Path(text)
    except ValueError:
        raise ValueError(f"CLARY_{name.upper()}={text!r}: say a number") from None
