"""`clary compare` as a person uses it, on evaluations that jobs of a real server wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clary.cli.main import main
from tests.acceptance import processing, programs, studies
from tests.server_process import ServerProcess

pytest.importorskip("pyarrow")

EXAMPLES = 500
# writes what clary.recipes.evaluate does: so many of the answers are right, the same examples in another order
EVALUATE = f"""
import json, sys
import pyarrow, pyarrow.parquet
right, step = int(sys.argv[1]), int(sys.argv[2])
rows = [(number * step) % {EXAMPLES} for number in range({EXAMPLES})]
label = ["good" if row % 2 else "bad" for row in rows]
wrong = {{"good": "bad", "bad": "good"}}
predicted = [one if row < right else wrong[one] for one, row in zip(label, rows)]
accuracy = right / {EXAMPLES}
out = "{processing.OUT}/"
json.dump(
    {{
        "metrics": {{
            "accuracy": {{"value": accuracy, "interval": [accuracy - 0.03, accuracy + 0.03]}},
            "log_loss": {{"value": 1 - accuracy}},
        }},
        "confusion_matrix": {{"counts": []}},
    }},
    open(out + "evaluation.json", "w"),
)
if step > 1:
    table = {{"example": [f"digest-{{row}}" for row in rows], "label": label, "predicted": predicted}}
    pyarrow.parquet.write_table(pyarrow.table(table), out + "predictions.parquet")
"""
FIT = """
import os
open(os.environ["SM_MODEL_DIR"] + "/weights.txt", "w").write(os.environ["SM_HP_RATE"])
print("loss=0.5, accuracy=0.99")
"""


DEFINITIONS = [{"Name": name, "Regex": f"{name}=([0-9.]+)"} for name in ("loss", "accuracy")]


def clary(server: ServerProcess, *words: str, code: int = 0) -> Result:
    # as in a pipe, whatever width of a terminal the tests themselves were told
    done = CliRunner(env={"COLUMNS": None}).invoke(main, ["compare", *words, "--home", str(server.home)])
    assert done.exit_code == code, done.output
    return done


def evaluate(server: ServerProcess, name: str, right: int, *, step: int = 7, **request: Any) -> None:
    """Start a processing job that answers `right` of EXAMPLES examples well; a step of 1 leaves no predictions."""
    entry = ["python3", f"{processing.CODE}/run.py"]
    specification = {
        "ImageUri": "image",
        "ContainerEntrypoint": entry,
        "ContainerArguments": [str(right), str(step)],
    }
    processing.submit(server, EVALUATE, name=name, AppSpecification=specification, **request)


@pytest.fixture(scope="module")
def films(shared_server: ServerProcess) -> ServerProcess:
    """Two models, each trained and evaluated, in one experiment; two more evaluations beside it."""
    server = shared_server
    sagemaker = server.client("sagemaker")
    sagemaker.create_experiment(ExperimentName="films")
    for name, rate in (("small", "0.1"), ("large", "0.2")):
        programs.submit(
            server,
            FIT,
            name=f"fit-{name}",
            HyperParameters={"rate": rate},
            AlgorithmSpecification={"MetricDefinitions": DEFINITIONS},
            ExperimentConfig={"ExperimentName": "films"},
        )
    evaluate(server, "level", 401, step=3)
    evaluate(server, "figures-only", 390, step=1)
    for name, right in (("small", 400), ("large", 460)):
        model = programs.wait(server, f"fit-{name}")["ModelArtifacts"]["S3ModelArtifacts"]
        evaluate(
            server,
            f"check-{name}",
            right,
            inputs=(processing.source(model, "/opt/ml/processing/model"),),
            ExperimentConfig={"ExperimentName": "films"},
        )
    for name in ("level", "figures-only", "check-small", "check-large"):
        processing.wait(server, name, "Completed")
    return server


def test_a_real_lead_is_told_in_a_sentence(films: ServerProcess) -> None:
    told = clary(films, "check-small", "check-large").stdout
    lines = told.splitlines()
    assert lines[0] == "accuracy (higher is better)"
    first, second = (line.split() for line in lines[2:4])
    assert first[:3] == ["1", "check-large", "0.920"] and second[:3] == ["2", "check-small", "0.800"]
    assert "0.890 to 0.950" in lines[2]
    pattern = (
        r"check-large leads check-small by 12\.0 points of accuracy \(95 % interval (9|10)\.\d to 1[45]\.\d\): "
        r"a real difference on 500 examples \(p < 0\.001\)\."
    )
    assert re.search(pattern, told), told


def test_what_the_models_were_made_from_is_told_of_their_evaluations(films: ServerProcess) -> None:
    told = clary(films, "check-small", "check-large").stdout
    [rate] = [line.split() for line in told.splitlines() if line.startswith("rate ")]
    assert rate == ["rate", "0.2", "0.1"]
    assert "code: train.py" not in told, "it is the same"
    assert "sagemaker_" not in told


def test_models_are_compared_by_the_evaluations_of_them(films: ServerProcess) -> None:
    document = json.loads(clary(films, "fit-small", "fit-large", "--json").stdout)
    assert document["metric"] == "accuracy"
    assert [run["name"] for run in document["runs"]] == ["fit-large", "fit-small"]
    assert document["runs"][0]["metrics"]["accuracy"]["value"] == 0.92
    assert document["runs"][0]["metrics"]["accuracy"]["interval"] == pytest.approx([0.89, 0.95])
    assert document["runs"][0]["metrics"]["loss"] == {"value": 0.5}
    [finding] = document["findings"]
    assert finding["is_real"] and finding["examples"] == EXAMPLES
    assert finding["difference"] == pytest.approx(0.12)
    assert document["differing"]["rate"] == ["0.2", "0.1"]


def test_a_lead_that_is_not_real_says_what_would_settle_it(films: ServerProcess) -> None:
    told = clary(films, "check-small", "level").stdout
    assert "level leads check-small by 0.2 points of accuracy" in told
    settle = re.search(r"not a real difference on 500 examples; about ([\d,]+) would settle it\.", told)
    assert settle and int(settle[1].replace(",", "")) > EXAMPLES


@pytest.mark.slow
def test_several_runs_are_corrected_for(films: ServerProcess) -> None:
    document = json.loads(clary(films, "check-small", "check-large", "level", "--json").stdout)
    assert [finding["leader"] for finding in document["findings"]] == ["check-large"] * 2
    for finding in document["findings"]:
        assert finding["p"] >= finding["p_uncorrected"]
        assert "corrected for 3 comparisons" in finding["sentence"]


def test_without_predictions_nothing_is_claimed(films: ServerProcess) -> None:
    told = clary(films, "check-small", "figures-only").stdout
    assert "cannot be told without both runs' predictions on the same examples" in told
    assert "figures-only has no predictions.parquet" in told


def test_an_experiment_is_all_its_models_once(films: ServerProcess) -> None:
    document = json.loads(clary(films, "films", "--json").stdout)
    names = [run["name"] for run in document["runs"]]
    assert names == ["fit-large", "fit-small"], "their evaluations are theirs"
    assert document["findings"][0]["is_real"]


@pytest.mark.slow
def test_by_another_metric(films: ServerProcess) -> None:
    told = clary(films, "check-small", "check-large", "--metric", "log_loss").stdout
    assert told.splitlines()[0] == "log_loss (lower is better)"
    assert told.splitlines()[2].split()[1] == "check-large"


@pytest.mark.slow
def test_a_page_and_a_file(films: ServerProcess, tmp_path: Path) -> None:
    page, file = tmp_path / "page.html", tmp_path / "comparison.json"
    told = clary(films, "check-small", "check-large", "-o", str(page)).stdout
    assert told.splitlines()[-1] == str(page)
    text = page.read_text("utf-8")
    assert "check-large leads check-small by 12.0 points" in text
    assert not re.search(r"""(src|href)=["']https?:""", text), "it needs no network"
    clary(films, "check-small", "check-large", "-o", str(file))
    assert json.loads(file.read_text())["findings"][0]["is_real"]


def test_folders_and_addresses_are_runs_too(films: ServerProcess, tmp_path: Path) -> None:
    for name, body in processing.found(films, "level/").items():
        (tmp_path / name).write_bytes(body)
    address = f"s3://{processing.BUCKET}/check-large"
    document = json.loads(clary(films, str(tmp_path), address, "--json").stdout)
    assert [run["name"] for run in document["runs"]] == [address, str(tmp_path)]
    assert document["findings"][0]["examples"] == EXAMPLES


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check-small", "chek-large"), "there is no run 'chek-large'"),
        (
            ("check-small",),
            "'check-small' is no experiment (there are: films): name two runs or more, or one experiment",
        ),
        (("check-small", "check-small"), "named twice: check-small"),
        (
            ("check-small", "check-large", "--metric", "bleu"),
            "no run has the metric 'bleu'; there are: accuracy, log_loss",
        ),
        (("check-small", "s3://nowhere/at-all"), "s3://nowhere/at-all holds no evaluation.json"),
        (("check-small", "level", "-o", "page.pdf"), "page.pdf: the name must end in .html or .json"),
    ],
)
def test_a_mistake_is_told_with_what_there_is(
    films: ServerProcess, words: tuple[str, ...], said: str
) -> None:
    done = clary(films, *words, code=1)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_unknown_run_names_known_ones(films: ServerProcess) -> None:
    done = clary(films, "check-small", "chek-large", code=1)
    assert "there is no run 'chek-large'; is it check-large, " in done.stderr
    assert "-aws-processing-job" not in done.stderr
    done = clary(films, "check-small", "zzz", code=1)
    assert "the newest here: check-large, check-small, " in done.stderr


def test_code_that_differs_is_told_by_file(films: ServerProcess) -> None:
    for name, rate in (("first", "0.1"), ("second", "0.3")):
        algorithm = {"MetricDefinitions": DEFINITIONS}
        programs.submit(films, f"print('loss={rate}')", name=name, AlgorithmSpecification=algorithm)
    for name in ("first", "second"):
        programs.wait(films, name)
    document = json.loads(clary(films, "first", "second", "--json").stdout)
    assert document["metric"] == "loss"
    assert [run["name"] for run in document["runs"]] == ["first", "second"], "lower is better"
    assert set(document["differing"]) == {"code: train.py"}
    assert not document["findings"][0]["is_real"]
    assert "cannot be told" in document["findings"][0]["sentence"]


@pytest.mark.slow
def test_a_name_that_was_used_again_means_the_newest_job(films: ServerProcess) -> None:
    for loss in ("0.5", "0.25"):
        algorithm = {"MetricDefinitions": DEFINITIONS}
        programs.submit(films, f"print('loss={loss}')", name="again", AlgorithmSpecification=algorithm)
        model = programs.wait(films, "again")["ModelArtifacts"]["S3ModelArtifacts"]
        if loss == "0.5":
            read = (processing.source(model, "/opt/ml/processing/model"),)
            evaluate(films, "check-again", 490, inputs=read)
            processing.wait(films, "check-again", "Completed")
            films.client("sagemaker").delete_training_job(TrainingJobName="again")
    document = json.loads(clary(films, "again", "fit-small", "--json").stdout)
    losses = {run["name"]: run["metrics"]["loss"]["value"] for run in document["runs"]}
    assert losses == {"again": 0.25, "fit-small": 0.5}
    assert document["metric"] == "loss", "the evaluation was of the model that the earlier job made"


@pytest.mark.slow
def test_a_tuning_job_is_all_its_jobs(films: ServerProcess) -> None:
    studies.study(films, name="tuned", jobs=3)
    studies.wait(films, "tuned")
    document = json.loads(clary(films, "tuned", "--json").stdout)
    assert document["metric"] == "f1"
    values = [run["metrics"]["f1"]["value"] for run in document["runs"]]
    assert len(values) == 3 and values == sorted(values, reverse=True)
    names = {each["TrainingJobName"] for each in studies.children(films, "tuned")}
    assert {run["name"] for run in document["runs"]} == names
    assert set(document["differing"]) == {"rate"}


def test_what_has_nothing_to_compare_is_left_out_of_an_experiment(films: ServerProcess) -> None:
    sagemaker = films.client("sagemaker")
    metrics = films.client("sagemaker-metrics")
    sagemaker.create_experiment(ExperimentName="mixed")
    sagemaker.create_trial(TrialName="mixed-trial", ExperimentName="mixed")
    for name, metric in (("one", "bleu"), ("two", "bleu"), ("other", "rouge"), ("preparation", "")):
        sagemaker.create_trial_component(TrialComponentName=f"mixed-{name}")
        sagemaker.associate_trial_component(TrialComponentName=f"mixed-{name}", TrialName="mixed-trial")
        if metric:
            point = {"MetricName": metric, "Timestamp": 1_700_000_000, "Value": float(len(name))}
            metrics.batch_put_metrics(TrialComponentName=f"mixed-{name}", MetricData=[point])
    document = json.loads(clary(films, "mixed", "--json").stdout)
    assert document["metric"] == "bleu"
    assert {run["name"] for run in document["runs"]} == {"mixed-one", "mixed-two"}
    assert document["notes"] == ["left out, for they have no bleu: mixed-other"]


def test_what_failed_or_is_broken_hides_no_other_run_and_says_why_it_is_left_out(
    films: ServerProcess,
) -> None:
    sagemaker = films.client("sagemaker")
    metrics = films.client("sagemaker-metrics")
    sagemaker.create_experiment(ExperimentName="shaky")
    sagemaker.create_trial(TrialName="shaky-trial", ExperimentName="shaky")
    films.client("s3").put_object(Bucket=processing.BUCKET, Key="shaky/evaluation.json", Body=b"{oops")
    place = {"out": {"Value": f"s3://{processing.BUCKET}/shaky"}}
    made: dict[str, dict[str, Any]] = {
        "good": {},
        "diverged": {},
        "failed": {"Status": {"PrimaryStatus": "Failed"}},
        "broken": {"OutputArtifacts": place},
    }
    for name, more in made.items():
        sagemaker.create_trial_component(TrialComponentName=f"shaky-{name}", **more)
        sagemaker.associate_trial_component(TrialComponentName=f"shaky-{name}", TrialName="shaky-trial")
    for name, value in (("good", 0.5), ("diverged", float("inf"))):
        point = {"MetricName": "bleu", "Timestamp": 1_700_000_000, "Value": value}
        metrics.batch_put_metrics(TrialComponentName=f"shaky-{name}", MetricData=[point])
    document = json.loads(clary(films, "shaky", "--json").stdout)
    assert [run["name"] for run in document["runs"]] == ["shaky-good"]
    notes = "\n".join(sorted(document["notes"]))
    assert f"left out: s3://{processing.BUCKET}/shaky/evaluation.json is not JSON" in notes
    assert "left out: shaky-failed (failed) has no metrics" in notes
    assert "left out: shaky-diverged has no metrics that are finite numbers" in notes
    refused = clary(films, "shaky-good", "shaky-failed", code=1).stderr
    assert "shaky-failed (failed) has no metrics, and no evaluation.json among its outputs" in refused


def test_different_data_are_told(films: ServerProcess, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    for name, first in (("one", 0), ("two", 100)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "evaluation.json").write_text('{"metrics": {"accuracy": {"value": 0.5}}}')
        rows = range(first, first + 300)
        table = {
            "example": [str(row) for row in rows],
            "label": [str(row % 2) for row in rows],
            "predicted": [str(row // 2 % 2) for row in rows],
        }
        pyarrow.parquet.write_table(pyarrow.table(table), folder / "predictions.parquet")
    document = json.loads(clary(films, str(tmp_path / "one"), str(tmp_path / "two"), "--json").stdout)
    assert document["findings"][0]["examples"] == 200
    [note] = document["notes"]
    assert note.endswith("on 300: the test is of the 200 that both have, the figures are of all")
