"""Batches on several cores: a thread each, one core a thread.

Two threads that share every product wait for each other at its end, and wait long when another program takes one of
their cores. Threads with batches of their own do not wait, and the result does not depend on how many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def each(
    batches: Sequence[Batch], work: Callable[[Batch], Result], *, threads: int
) -> Iterator[tuple[Batch, Result]]:
    """Each batch with its result, in order. A single batch is run here, with the threads that torch has."""

    def inferred(batch: Batch) -> Result:
        with torch.inference_mode():
            return work(batch)

    if threads == 1 or len(batches) < 2:
        for batch in batches:
            yield batch, inferred(batch)
        return
    with _one_core_a_thread(), ThreadPoolExecutor(threads, thread_name_prefix="clary-inference") as pool:
        waiting: deque[tuple[Batch, Future[Result]]] = deque()
        try:
            for batch in batches:
                waiting.append((batch, pool.submit(inferred, batch)))
                if len(waiting) > 2 * threads:
                    yield _finished(*waiting.popleft())
            while waiting:
                yield _finished(*waiting.popleft())
        finally:  # a batch failed, or nobody wants the rest
            pool.shutdown(cancel_futures=True)


def _finished(batch: Batch, future: Future[Result]) -> tuple[Batch, Result]:
    return batch, future.result()


@contextmanager
def _one_core_a_thread() -> Iterator[None]:
    """torch's setting is the process's: it is put back at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
