"""Instance types as requests for a share of this machine, and what of the machine is taken.

Whoever gives out shares does so first in, first out: a job that does not fit yet holds back all behind it. That
leaves room unused now and then, but no large job waits for ever behind small ones; as every request is cut to the
machine, the first in the queue starts at the latest when all that run have ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any, TypedDict

from clary.runners.machine import Machine
from clary.runners.tables import TableFault, read_text, rows_of

TABLE = "instances.toml"


@dataclass(frozen=True, slots=True)
class Request:
    """What one instance asks for. With no `cpus` it takes none from the count."""

    cpus: int
    memory_gib: float
    gpus: int = 0

    def cut(self, machine: Machine) -> Request:
        return Request(
            cpus=min(self.cpus, machine.cpus),
            memory_gib=min(self.memory_gib, machine.memory_gib),
            gpus=min(self.gpus, len(machine.gpus)),
        )


class Share(TypedDict):
    """What a job holds of the machine, ready for JSON; `gpus` are device indices."""

    cpus: int
    memory_gib: float
    gpus: list[int]


class InstanceTypes:
    """The table: rows of glob pattern and request, the first match wins."""

    def __init__(self, rows: Sequence[tuple[str, Request]]) -> None:
        self._rows = tuple(rows)

    @classmethod
    def read(cls, home: Path | None = None) -> InstanceTypes:
        """The rows of `<home>/instances.toml`, if there is one, before the package's own. Raises TableFault."""
        own = files("clary.runners").joinpath(TABLE)
        rows = parse_table(own.read_text("utf-8"), str(own))
        path = home / TABLE if home else None
        if path and path.exists():
            rows = parse_table(read_text(path), str(path)) + rows
        return cls(rows)

    def request(self, instance_type: str) -> Request:
        """Any name is accepted: one that no row matches takes one CPU and 2 GiB."""
        for pattern, request in self._rows:
            if fnmatchcase(instance_type, pattern):
                return request
        return Request(cpus=1, memory_gib=2.0)


class Slots:
    """What of a machine is held by whom. Never more is given than there is; names are the holders'."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._held: dict[str, list[Share]] = {}

    @property
    def held(self) -> Mapping[str, Sequence[Share]]:
        return {name: list(shares) for name, shares in self._held.items()}

    @property
    def free(self) -> Share:
        """Nothing of it is negative, though more may be held than there is (see `retake`)."""
        taken = [share for shares in self._held.values() for share in shares]
        busy = {gpu for share in taken for gpu in share["gpus"]}
        return Share(
            cpus=max(0, self.machine.cpus - sum(share["cpus"] for share in taken)),
            memory_gib=max(0.0, self.machine.memory_gib - sum(share["memory_gib"] for share in taken)),
            gpus=[gpu for gpu in self.machine.gpus if gpu not in busy],
        )

    def fits(self, request: Request, count: int = 1) -> bool:
        """Whether so many of the request, each cut to the machine, are free now."""
        return count <= _times(request.cut(self.machine), self.free)

    def most(self, request: Request) -> int:
        """How many of the request, each cut to the machine, an empty machine holds. At least 1."""
        machine = self.machine
        everything = Share(cpus=machine.cpus, memory_gib=machine.memory_gib, gpus=list(machine.gpus))
        return _times(request.cut(machine), everything)

    def take(self, name: str, request: Request, count: int = 1) -> Sequence[Share] | None:
        """The `count` shares now held by `name`, those it has if it holds some already; None when not all fit."""
        if name in self._held:
            return list(self._held[name])
        if not self.fits(request, count):
            return None
        need, gpus = request.cut(self.machine), self.free["gpus"]
        self._held[name] = [
            Share(cpus=need.cpus, memory_gib=need.memory_gib, gpus=gpus[i * need.gpus : (i + 1) * need.gpus])
            for i in range(count)
        ]
        return list(self._held[name])

    def retake(self, name: str, shares: Sequence[Mapping[str, Any]]) -> None:
        """Note shares given earlier, by a server before this one perhaps. They count even if the machine has shrunk."""
        self._held[name] = [
            Share(cpus=share["cpus"], memory_gib=share["memory_gib"], gpus=list(share["gpus"]))
            for share in shares
        ]

    def give_back(self, name: str) -> None:
        """Does nothing when `name` holds nothing."""
        self._held.pop(name, None)


def _times(need: Request, room: Share) -> int:
    # sums of floats: a millionth of a GiB is no reason to wait
    fitting = [int((room["memory_gib"] + 1e-6) / need.memory_gib)]
    fitting += [room["cpus"] // need.cpus] if need.cpus else []
    fitting += [len(room["gpus"]) // need.gpus] if need.gpus else []
    return min(fitting)


def parse_table(text: str, source: str) -> list[tuple[str, Request]]:
    """Rows in the order of the file. Raises TableFault; `source` is the file's name in its message."""
    return [(pattern, _row(row, where)) for pattern, row, where in rows_of(text, "instances", source)]


def _row(row: object, where: str) -> Request:
    if not isinstance(row, dict):
        raise TableFault(f"{where}: say {{ cpus = 1, memory_gib = 2, gpus = 0 }}")
    names = [entry.name for entry in fields(Request)]
    for name in row:
        if name not in names:
            raise TableFault(f"{where}: unknown field {name!r}; there are {', '.join(names)}")
    return Request(
        cpus=_whole(row, "cpus", where, least=1),
        memory_gib=_positive(row, "memory_gib", where),
        gpus=_whole({"gpus": 0, **row}, "gpus", where, least=0),
    )


def _whole(row: Mapping[str, object], name: str, where: str, *, least: int) -> int:
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise TableFault(
            f"{where}: {name} = {value!r}: say a whole number from {least}"
            if name in row
            else _missing(where, name)
        )
    return value


def _positive(row: Mapping[str, object], name: str, where: str) -> float:
    value = row.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise TableFault(
            f"{where}: {name} = {value!r}: say a number above 0" if name in row else _missing(where, name)
        )
    return float(value)


def _missing(where: str, name: str) -> str:
    return f"{where}: {name} is missing"
