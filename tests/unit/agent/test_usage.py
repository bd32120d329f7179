from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from clary.agent.story import Lines
from clary.agent.usage import Usage

BUSY = "import time; end = time.time() + 1.0; block = bytearray(64 << 20)\nwhile time.time() < end: pass"


def test_samples_show_what_the_processes_below_use(tmp_path: Path) -> None:
    usage = Usage(
        tmp_path, Lines(tmp_path / "usage"), host="algo-1", gpus=[], period_s=0.3, clock=lambda: 7.0
    )
    usage.start()
    subprocess.run([sys.executable, "-c", BUSY], check=True)
    usage.finish()
    samples = [json.loads(line) for line in (tmp_path / "usage").read_text().splitlines()]
    assert len(samples) >= 2
    assert all(
        sample.keys() == {"at", "host", "CPUUtilization", "MemoryUtilization", "DiskUtilization"}
        for sample in samples
    )
    assert max(sample["CPUUtilization"] for sample in samples) > 5
    assert max(sample["MemoryUtilization"] for sample in samples) > 0.05
    assert all(0 < sample["DiskUtilization"] < 100 and sample["at"] == 7.0 for sample in samples)


def test_a_short_job_has_one_sample_and_its_use_is_in_it(tmp_path: Path) -> None:
    usage = Usage(tmp_path, Lines(tmp_path / "usage"), host="algo-1", gpus=[], period_s=60, clock=lambda: 7.0)
    usage.start()
    subprocess.run([sys.executable, "-c", BUSY.replace("1.0", "0.2")], check=True)
    usage.finish()
    (sample,) = [json.loads(line) for line in (tmp_path / "usage").read_text().splitlines()]
    assert sample["CPUUtilization"] > 5
    assert sample["MemoryUtilization"] > 0.05
