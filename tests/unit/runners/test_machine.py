"""What a machine has, read from control group files of a made-up root."""

import os
from pathlib import Path

import pytest

from clary.runners.machine import Machine, visible

LISTING = "0, GPU-aaa1\n1, GPU-bbb2\n2, GPU-bbb3\n"


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        (None, (0, 1, 2)),
        ("", ()),
        ("2,0", (0, 2)),
        ("GPU-bbb2", (1,)),
        ("GPU-aaa, 1", (0, 1)),
        ("-1", ()),
    ],
)
def test_gpus_left_by_cuda_visible_devices(wanted: str | None, seen: tuple[int, ...]) -> None:
    assert visible(LISTING, wanted) == seen


def test_a_listing_of_something_else_has_no_gpu() -> None:
    assert visible("No devices were found\n", None) == ()


def test_this_machine_has_something() -> None:
    machine = Machine.look()
    assert 1 <= machine.cpus <= (os.cpu_count() or 1)
    assert machine.memory_gib > 0.1


def test_limits_of_control_groups_count(tmp_path: Path) -> None:
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{512 * 1024**2}\n")
    (group / "cpu.max").write_text("100000 100000\n")
    machine = Machine.look(root=tmp_path, environment={"PATH": ""})
    assert machine == Machine(cpus=1, memory_gib=0.5, gpus=())


@pytest.mark.parametrize("text", ["max\n", ""])
def test_no_limit_is_no_limit(tmp_path: Path, text: str) -> None:
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(text)
    (group / "cpu.max").write_text("max 100000\n")
    machine = Machine.look(root=tmp_path, environment={"PATH": ""})
    assert machine.cpus == len(os.sched_getaffinity(0))
    assert machine.memory_gib > 0.1


def test_gpus_are_counted_by_nvidia_smi(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{LISTING}'\n")
    program.chmod(0o755)
    assert Machine.look(environment={"PATH": str(tmp_path)}).gpus == (0, 1, 2)
    program.write_text("#!/bin/sh\necho failed; exit 9\n")
    assert Machine.look(environment={"PATH": str(tmp_path)}).gpus == ()
