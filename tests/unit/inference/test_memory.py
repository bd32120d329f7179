"""Freed memory stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from clary.inference import memory  # noqa: E402

FAULTS = """
import resource, sys
import torch
from clary.inference import memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        parts = [torch.ones(size, 1 << 16) for size in (20, 40, 80)]  # 5 to 20 MB
        del parts
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

without = faults()
assert memory.keep()
faults()
print(without, faults())
"""


@pytest.mark.skipif(not memory.keep(), reason="the C library has no such setting")
def test_the_same_memory_is_used_again():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    without, kept = map(int, done.stdout.split())
    assert without > 10_000  # pages of 4 KB
    assert kept < 100


def test_nothing_is_done_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.keep.__wrapped__() is False
