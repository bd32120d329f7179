"""What this machine has to give: CPUs, memory, GPUs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Machine:
    """`gpus` are the indices of its NVIDIA devices."""

    cpus: int
    memory_gib: float
    gpus: tuple[int, ...] = ()

    @classmethod
    def look(cls, *, root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> Machine:
        """What this process may use: affinity, control group limits and CUDA_VISIBLE_DEVICES are heeded."""
        return cls(cpus=_cpus(root), memory_gib=_memory(root) / GIB, gpus=_gpus(environment))


def _cpus(root: Path) -> int:
    allowed = len(os.sched_getaffinity(0))
    quota, period = _cpu_quota(root)
    if quota > 0 and period > 0:
        allowed = min(allowed, max(1, quota // period))
    return allowed


def _cpu_quota(root: Path) -> tuple[int, int]:
    """Microseconds of CPU in each period of as many; quota 0 for no limit. Version 2 of control groups, then 1."""
    words = _read(root / "sys/fs/cgroup/cpu.max").split()
    if len(words) == 2:
        return _number(words[0]), _number(words[1])
    group = root / "sys/fs/cgroup/cpu"
    return _number(_read(group / "cpu.cfs_quota_us")), _number(_read(group / "cpu.cfs_period_us"))


def _memory(root: Path) -> int:
    """Bytes."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
    return min([total, *filter(None, (_number(_read(root / limit)) for limit in limits))])


def _gpus(environment: Mapping[str, str]) -> tuple[int, ...]:
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if not program:
        return ()
    command = [program, "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return visible(done.stdout, environment.get("CUDA_VISIBLE_DEVICES"))


def visible(listing: str, wanted: str | None) -> tuple[int, ...]:
    """Indices out of nvidia-smi's `index, uuid` lines that CUDA_VISIBLE_DEVICES (`wanted`) leaves; all for None."""
    rows = [line.split(", ") for line in listing.splitlines() if line.count(", ") == 1]
    devices = [(int(index), uuid) for index, uuid in rows if index.isdigit()]
    if wanted is None:
        return tuple(index for index, _ in devices)
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    return tuple(
        index for index, uuid in devices if any(name == str(index) or _names(name, uuid) for name in names)
    )


def _names(name: str, uuid: str) -> bool:
    """CUDA takes any unambiguous beginning of a UUID."""
    return name.startswith("GPU-") and uuid.startswith(name)


def _number(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return ""
