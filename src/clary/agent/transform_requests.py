"""One object through the model: cut into requests, asked a few at a time, put together in the order of its records."""

from __future__ import annotations

import gzip
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, cast

from clary.agent.contract import Transform
from clary.agent.transform_ask import Asker, NoAnswer, Refused
from clary.agent.transform_join import association, format_of
from clary.agent.transform_pace import Pace
from clary.agent.transform_split import BadRecord, Batch, batches, records

_ALGORITHM = "AlgorithmError"


class Requests:
    """Many objects at a time, each in a thread of its caller's. Left as a context, none is on its way any more.

    Requests on their way, or answered but not yet written, are bounded over all objects: so is the memory they take.
    """

    def __init__(
        self, transform: Transform, pace: Pace, asker: Asker, counted: Callable[[int], None]
    ) -> None:
        """`counted` is told how many records more are answered, from any thread. Raises PathFault."""
        self._transform = transform
        self._pace = pace
        self._asker = asker
        self._counted = counted
        self._rule = association(
            input_filter=transform.input_filter,
            output_filter=transform.output_filter,
            joins=transform.join == "Input",
            content_type=transform.content_type,
            accept=transform.accept,
        )
        self._pool = ThreadPoolExecutor(pace.concurrent, "ask")
        self._room = threading.Semaphore(2 * pace.concurrent)

    def __enter__(self) -> Requests:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._asker.close()

    def carry(self, source: BinaryIO, target: BinaryIO) -> None:
        """The answers to what `source` holds, into `target`.

        Raises BadRecord, Interrupted, and what reading and writing raise; then `target` holds nothing of use.
        """
        if self._transform.compression == "Gzip":
            source = cast(BinaryIO, gzip.GzipFile(fileobj=source, mode="rb"))
        if not self._pace.limit:
            self._stream(source, target)
            return
        waiting: deque[tuple[Batch, Future[bytes]]] = deque()
        try:
            for batch in self._batches(source):
                while not self._room.acquire(blocking=not waiting):
                    self._write(*waiting.popleft(), target)
                waiting.append((batch, self._pool.submit(self._ask, batch)))
            while waiting:
                self._write(*waiting.popleft(), target)
        finally:
            for _, future in waiting:
                future.cancel()
                self._room.release()

    def _stream(self, source: BinaryIO, target: BinaryIO) -> None:
        try:
            self._pool.submit(self._asker.stream, source, target).result()
        except (Refused, NoAnswer) as fault:
            raise BadRecord(0, str(fault), kind=_kind(fault)) from fault
        self._counted(1)

    def _batches(self, source: BinaryIO) -> Iterator[Batch]:
        transform, rule, limit = self._transform, self._rule, self._pace.limit
        has_rows = format_of(transform.content_type) is not None
        return batches(
            records(source, transform.split, limit=limit, skip_blank=has_rows),
            single=self._pace.single,
            limit=limit,
            prepare=rule.sent if rule.changes_input else None,
            keep=rule.joins,
        )

    def _ask(self, batch: Batch) -> bytes:
        try:
            return self._asker.ask(batch.body)
        except (Refused, NoAnswer) as fault:
            guilty, why = self._guilty(batch, fault)
            numbers = guilty.numbers
            raise BadRecord(numbers[0], str(why), last=numbers[-1], kind=_kind(why)) from fault

    def _guilty(self, batch: Batch, fault: Refused | NoAnswer) -> tuple[Batch, Refused | NoAnswer]:
        """The one record of several that the model refuses, found by asking for halves; all, where no half is."""
        while len(batch.pieces) > 1 and isinstance(fault, Refused) and fault.is_final:
            for half in batch.halves():
                if refusal := self._refusal(half):
                    batch, fault = half, refusal
                    break
            else:
                break
        return batch, fault

    def _refusal(self, batch: Batch) -> Refused | None:
        try:
            self._asker.ask(batch.body)
        except Refused as refused:
            return refused if refused.is_final else None
        except NoAnswer:
            pass
        return None

    def _write(self, batch: Batch, future: Future[bytes], target: BinaryIO) -> None:
        try:
            answer = self._kept(batch, future.result())
            target.write(answer)
            if self._transform.assemble == "Line" and not answer.endswith(b"\n"):
                target.write(b"\n")
        finally:
            self._room.release()
        self._counted(len(batch.pieces))

    def _kept(self, batch: Batch, answer: bytes) -> bytes:
        if not self._rule.changes_output:
            return answer
        try:
            return self._rule.kept(answer, count=len(batch.pieces), originals=batch.originals)
        except ValueError as fault:
            numbers = batch.numbers
            raise BadRecord(numbers[0], str(fault), last=numbers[-1]) from fault


def _kind(fault: Refused | NoAnswer) -> str:
    return "ClientError" if isinstance(fault, Refused) and fault.status < 500 else _ALGORITHM
