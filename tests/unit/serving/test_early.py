from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src"
PROGRAM = """
import sys
from pathlib import Path
sys.path.append(sys.argv[1])
from clary.serving.early import prepare
before = set(sys.modules)
prepare(Path(sys.argv[2]), dict(pair.split("=") for pair in sys.argv[3:]))
print(*sorted({"sklearn", "torch", "transformers", "mine"} & set(sys.modules)))
from clary.serving.template import count_threads
print(count_threads())
"""


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        (["SAGEMAKER_MODEL_SERVER_WORKERS=2"], "torch"),
        (["SAGEMAKER_MODEL_SERVER_WORKERS=1"], ""),
    ],
)
def test_several_workers_with_a_script_begin_with_what_it_imports(
    tmp_path: Path, environment: list[str], found: str
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text("import torch\nimport mine\n")
    (tmp_path / "code" / "mine.py").write_text("")
    told = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(SOURCE), str(tmp_path), *environment],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # as an instance's program has it
    ).stdout.splitlines()
    assert told[0] == found
    assert told[1] == "1", "a process with threads cannot be forked"
