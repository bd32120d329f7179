"""The example of reviews from end to end, with a tiny model and reviews that were made up."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.models import classifier

EXAMPLE = Path(__file__).parents[2] / "examples" / "sentiment" / "run.py"
GOOD = ("this is a very good product", "i really like it", "great product", "not bad", "great and very good")
BAD = ("this is awful", "i hate it", "a really bad product", "not good", "the product is very bad")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_trains_deploys_asks_and_deletes(server, tmp_path):
    rows = [(text, "1") for text in GOOD] + [(text, "0") for text in BAD]
    with open(tmp_path / "reviews.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("Review Text", "Recommended IND"), *(4 * rows), (" ", "1")])
    base = classifier(tmp_path / "base")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "clary.cli.main", "run", "--home", str(server.home), "--"),
            *(sys.executable, str(EXAMPLE), "--data", str(tmp_path / "reviews.csv")),
            *("--model", str(base), "--epochs", "60", "--learning-rate", "3e-3"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "32 reviews to learn from" in done.stdout
    assert re.search(r"^positive +0\.\d{3}  This is a very good product!$", done.stdout, re.MULTILINE)
    (right,) = re.findall(r"^(\d+) of 8 reviews that were kept back are right", done.stdout, re.MULTILINE)
    assert int(right) >= 7  # each of them was learnt from in another row
    sagemaker = server.client("sagemaker")
    (job,) = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    assert job["TrainingJobStatus"] == "Completed"
    assert sagemaker.list_models()["Models"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    left = [endpoint["EndpointStatus"] for endpoint in sagemaker.list_endpoints()["Endpoints"]]
    assert left in ([], ["Deleting"])
