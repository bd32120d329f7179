"""How much of the machine the job's processes use, as SageMaker names it, one line a period in usage.jsonl.

CPUUtilization is summed over cores (200 % are two busy ones), GPUUtilization and GPUMemoryUtilization over the job's
GPUs; MemoryUtilization and DiskUtilization are percentages of the machine's memory and of the folder's file system.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from clary.agent import tree
from clary.agent.story import Clock, Lines


class Usage:
    """Samples in a thread of its own between `start` and `finish`; `finish` adds the last sample."""

    def __init__(
        self, folder: Path, lines: Lines, *, host: str, gpus: Sequence[int], period_s: float, clock: Clock
    ) -> None:
        self._folder = folder
        self._lines = lines
        self._host = host
        self._gpus = gpus
        self._period_s = period_s
        self._clock = clock
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="usage", daemon=True)
        self._memory_total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self._cpu_s: dict[tuple[int, int], float] = {}
        self._counted_s = 0.0
        self._sampled_at = time.monotonic()
        self._reaped_s = _reaped_cpu_s()

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """To be called when the program's processes are gone: what they used since the last sample is known then."""
        self._over.set()
        self._thread.join()
        used_s = max(0.0, _reaped_cpu_s() - self._reaped_s - self._counted_s)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        self._write(used_s, peak)

    def _work(self) -> None:
        while not self._over.wait(self._period_s):
            processes = tree.descendants(os.getpid())
            used_s, latest = 0.0, {}
            for process in processes.values():
                mark = (process.pid, process.started)
                latest[mark] = process.cpu_s
                used_s += max(0.0, process.cpu_s - self._cpu_s.get(mark, 0.0))
            self._cpu_s = latest
            self._counted_s += used_s
            self._write(used_s, sum(process.memory for process in processes.values()))

    def _write(self, used_s: float, memory: int) -> None:
        now = time.monotonic()
        elapsed_s = max(now - self._sampled_at, 0.001)
        self._sampled_at = now
        disk = shutil.disk_usage(self._folder)
        cores = os.cpu_count() or 1
        sample: dict[str, float | str] = {
            "at": self._clock(),
            "host": self._host,
            "CPUUtilization": round(min(100.0 * used_s / elapsed_s, 100.0 * cores), 3),
            "MemoryUtilization": round(min(100.0 * memory / self._memory_total, 100.0), 3),
            "DiskUtilization": round(100.0 * disk.used / disk.total, 3),
        }
        with suppress(OSError):  # a full disk costs a sample, not the job's own story
            self._lines.append_document(sample | _gpu_usage(self._gpus))


def _reaped_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _gpu_usage(gpus: Sequence[int]) -> dict[str, float]:
    if not gpus:
        return {}
    command = [
        "nvidia-smi",
        f"--id={','.join(map(str, gpus))}",
        "--query-gpu=utilization.gpu,memory.used,memory.total",
        "--format=csv,noheader,nounits",
    ]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=10)
        rows = [[float(cell) for cell in line.split(b",")] for line in done.stdout.splitlines()]
        return {
            "GPUUtilization": sum(row[0] for row in rows),
            "GPUMemoryUtilization": round(sum(100 * row[1] / row[2] for row in rows), 3),
        }
    except (OSError, ValueError, LookupError, ZeroDivisionError, subprocess.SubprocessError):
        return {}
