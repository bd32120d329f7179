"""This host's objects, each brought, taken through the model and saved; what became of all of them together."""

from __future__ import annotations

import gzip
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clary.agent.crew import work_off
from clary.agent.faults import Fault, clip
from clary.agent.s3 import S3, Location
from clary.agent.stage import Item
from clary.agent.transform_requests import Requests
from clary.agent.transform_split import BadRecord
from clary.agent.upload import put

SUFFIX = ".out"

_LONGEST_KEY = 1024
_TOLD_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Failure:
    """An object without an output. `kind` is SageMaker's word for whose fault it is."""

    place: Location
    words: str
    kind: str

    def __str__(self) -> str:
        return f"{self.place}, {self.words}"


class Progress:
    """Counts what is done, and tells it now and then. May be used by many threads at once."""

    def __init__(self, objects: int, tell: Callable[[str], None]) -> None:
        """`tell` takes a line for the job's log."""
        self.failures: list[Failure] = []
        self._objects = objects
        self._tell = tell
        self._done = self._records = 0
        self._began = self._told = time.monotonic()
        self._lock = threading.Lock()

    def records(self, number: int) -> None:
        with self._lock:
            self._records += number
            now = time.monotonic()
            if is_due := now - self._told >= _TOLD_EVERY_S:
                self._told = now
        if is_due:
            self.tell()

    def done(self) -> None:
        with self._lock:
            self._done += 1

    def failed(self, failure: Failure) -> None:
        with self._lock:
            self.failures.append(failure)
        self._tell(f"{failure}. There is no output for this object.")

    def tell(self) -> None:
        took_s = max(time.monotonic() - self._began, 1e-3)
        failed = f", {len(self.failures)} failed" if self.failures else ""
        self._tell(
            f"{self._done} of {counted(self._objects, 'object')} transformed{failed}; "
            f"{counted(self._records, 'record')} in {took_s:.1f} s ({self._records / took_s:,.1f} a second)"
        )

    def reason(self, output: str) -> str | None:
        """Why the job failed; None when every object has its output. `output` is where the others are."""
        if not self.failures:
            return None
        first = min(self.failures, key=lambda failure: str(failure.place))
        others = f" The outputs of the others are in {output}." if self._done else ""
        text = f"{len(self.failures)} of {counted(self._objects, 'object')} could not be transformed.{others} {first}"
        if len(self.failures) > 1:
            text += ". The log names all of them."
        return clip(f"{first.kind}: {text}")


def transform(
    items: Sequence[Item],
    *,
    output: Location,
    s3: S3,
    requests: Requests,
    progress: Progress,
    folder: Path,
    threads: int,
) -> None:
    """Returns when every object has its output, below `output`, or has failed. `folder` is an empty one, for files.

    Raises Interrupted, when `s3` or `requests` are ended from outside; the objects then at work leave no output.
    """

    def each(numbered: tuple[int, Item]) -> None:
        number, item = numbered
        source, target = folder / f"{number}.in", folder / f"{number}.out"
        try:
            place = _place(output, item)
            s3.get(item.place, source)
            with open(source, "rb") as file, open(target, "wb") as out:
                requests.carry(file, out)
            put(s3, place, target)
            progress.done()
        except (BadRecord, Fault, OSError, EOFError, zlib.error) as fault:
            progress.failed(_failure(item, fault))
        finally:
            source.unlink(missing_ok=True)
            target.unlink(missing_ok=True)

    work_off(list(enumerate(items)), each, threads=min(threads, len(items)), leave=s3.close)


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _place(output: Location, item: Item) -> Location:
    place = output.below(item.path + SUFFIX)
    if len(place.key.encode()) > _LONGEST_KEY:
        raise BadRecord(0, f"the key of its output would be longer than {_LONGEST_KEY:,} bytes")
    return place


def _failure(item: Item, fault: Exception) -> Failure:
    if isinstance(fault, BadRecord | Fault):
        return Failure(item.place, str(fault), fault.kind)
    if isinstance(fault, EOFError | zlib.error | gzip.BadGzipFile):
        return Failure(
            item.place, f"it is not a whole gzip file (CompressionType Gzip): {fault}", "ClientError"
        )
    return Failure(item.place, f"it could not be kept on the disk: {fault}", "InternalServerError")
