"""The example of sentence pairs on a file like the corpus: a byte order mark, tabs, quotes that are only quotes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "mrpc" / "run.py"
HEAD = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
PAIRS = (
    '1\t1\t2\t"I am glad, he said.\tHe said that he was glad."\n',
    "0\t3\t4\tShares rose 3 %.\tIt rained on Monday.\n",
    '1\t5\t6\tThe 12" pipe broke.\tA 12" pipe has broken.\n',
)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_it_reads_every_pair_and_captures_every_metric(server, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "msr_paraphrase_train.txt").write_text(HEAD + "".join(PAIRS) * 4, encoding="utf-8")
    (data / "msr_paraphrase_test.txt").write_text(HEAD + "".join(PAIRS) * 2, encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "clary.cli.main", "run", "--home", str(server.home), "--"),
            *(sys.executable, str(EXAMPLE), "--data", str(data), "--epochs", "10", "--no-bf16"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "12 pairs to learn from, 6 to test with" in done.stdout
    final = dict(re.findall(r"^(\w+) +(\d+\.\d{4})$", done.stdout, flags=re.MULTILINE))
    assert {"loss", "eval_loss", "eval_accuracy", "eval_f1", "eval_precision", "eval_recall", "epoch"} <= set(
        final
    )
    (said,) = re.findall(r"'eval_f1': '?([0-9.]+)'?[^\n]*'epoch': '10'", done.stdout)
    assert float(final["eval_f1"]) == pytest.approx(float(said), abs=1e-4)
    assert float(final["epoch"]) == 10
