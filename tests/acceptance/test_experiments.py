"""Experiments with unmodified clients: `Run` of the SageMaker SDK version 2, and sagemaker-experiments before it."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.acceptance import studies
from tests.acceptance.programs import submit, wait
from tests.acceptance.running import Run, run_program, run_v3_program
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


@pytest.fixture(scope="module")
def notebook(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_program("experiments.py", shared_server.home, tmp_path_factory.mktemp("run") / "user")


@pytest.fixture(scope="module")
def tracked(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_program("tracker.py", shared_server.home, tmp_path_factory.mktemp("tracker") / "user")


def test_a_run_by_hand_is_recorded(notebook: Run) -> None:
    seen = notebook.report["by hand"]

    assert seen["Parameters"] == {
        "rate": {"NumberValue": 0.01},
        "optimizer": {"StringValue": "adam"},
        "layers": {"NumberValue": 4.0},
        "nested": {"StringValue": "yes"},
    }
    assert seen["InputArtifacts"]["notes"]["MediaType"] == "text/plain"
    assert set(seen["OutputArtifacts"]) == {"copied notes", "weights"}
    assert seen["Status"]["PrimaryStatus"] == "Completed"


def test_each_point_of_a_run_counts(notebook: Run) -> None:
    metrics = {each["MetricName"]: each for each in notebook.report["by hand"]["Metrics"]}

    assert set(metrics) == {"val:Loss", "accuracy"}
    loss = metrics["val:Loss"]
    assert (loss["Count"], loss["Min"], loss["Max"], loss["Last"]) == (25, 0.76, 1.0, 0.76)
    assert loss["Avg"] == pytest.approx(0.88)
    assert loss["StdDev"] == pytest.approx(0.0721110255)


def test_charts_become_artifacts_of_the_run(notebook: Run) -> None:
    assert {"confusion", "roc", "precision-recall"} <= set(notebook.report["charts"])


def test_a_run_is_loaded_again(notebook: Run) -> None:
    assert notebook.report["later"]["later"] == {"NumberValue": 1.0}
    assert notebook.report["later"]["rate"] == {"NumberValue": 0.01}


def test_an_error_in_a_run_is_its_status(notebook: Run) -> None:
    assert notebook.report["broken"] == {"PrimaryStatus": "Failed", "Message": "no such column"}


def test_jobs_add_to_the_run_they_were_started_in(notebook: Run) -> None:
    seen = notebook.report["with jobs"]

    assert seen["Parameters"] == {"inside": {"StringValue": "processing"}}
    [loss] = seen["Metrics"]
    assert (loss["MetricName"], loss["Count"], loss["Min"]) == ("inside:Loss", 6, 0.25)
    assert notebook.output.count("recorded in reviews / with-jobs") == 2


def test_the_component_of_a_training_job_is_in_the_trial(notebook: Run) -> None:
    seen = notebook.report["training component"]

    assert seen["Source"]["SourceType"] == "SageMakerTrainingJob"
    assert seen["Source"]["SourceArn"].endswith(f":training-job/{notebook.report['training'].lower()}")
    assert seen["Parameters"]["epochs"] == {"NumberValue": 2.0}
    assert seen["Parameters"]["optimizer"] == {"StringValue": '"adam"'}
    assert seen["Parameters"]["SageMaker.InstanceType"] == {"StringValue": "ml.p3.2xlarge"}
    assert "huggingface-pytorch-training" in seen["InputArtifacts"]["SageMaker.ImageUri"]["Value"]
    assert seen["OutputArtifacts"]["SageMaker.ModelArtifact"]["Value"].endswith("/output/model.tar.gz")
    assert seen["Status"]["PrimaryStatus"] == "Completed"
    assert seen["times"]
    assert seen["trials"] == ["Default-Run-Group-reviews"]


def test_the_component_of_a_processing_job_is_in_the_trial(notebook: Run) -> None:
    seen = notebook.report["processing component"]

    assert seen["Source"]["SourceType"] == "SageMakerProcessingJob"
    assert set(seen["InputArtifacts"]) == {"SageMaker.ImageUri", "code", "rows"}
    assert seen["OutputArtifacts"]["evaluation"]["Value"].endswith("/output/evaluation")
    assert seen["Status"]["PrimaryStatus"] == "Completed"
    assert seen["trials"] == ["Default-Run-Group-reviews"]


def test_runs_are_listed_and_components_analysed(notebook: Run) -> None:
    assert set(notebook.report["runs"]) == {"by-hand", "broken", "with-jobs"}
    assert notebook.report["trials"] == ["Default-Run-Group-reviews"]
    frame = notebook.report["frame"]
    assert len(frame) == 5, "three runs and two jobs"
    row = frame["reviews-by-hand"]
    assert (row["rate"], row["val:Loss - Count"], row["val:Loss - Last"]) == (0.01, 25, 0.76)


def test_an_experiment_can_be_deleted_with_all_in_it(notebook: Run) -> None:
    left = notebook.report["left"]

    assert "reviews" not in {each["ExperimentName"] for each in left["experiments"]}
    assert not [each for each in left["trials"] if "reviews" in each["TrialName"]]
    assert not [each for each in left["components"] if "reviews" in each["TrialComponentName"]]


def test_a_tracker_records_what_was_prepared(tracked: Run) -> None:
    seen = tracked.report["prepared"]

    assert seen["Parameters"] == {"mean": {"NumberValue": 0.1307}, "kind": {"StringValue": "normalised"}}
    assert seen["InputArtifacts"]["raw"] == {"MediaType": "text/csv", "Value": "s3://elsewhere/raw"}
    assert seen["OutputArtifacts"]["rows"]["Value"].endswith("/rows.csv")
    assert seen["Status"]["PrimaryStatus"] == "Completed"


def test_a_tracker_in_a_job_adds_to_the_jobs_component(tracked: Run) -> None:
    seen = tracked.report["trained"]

    assert seen["DisplayName"] == "Training"
    assert seen["Parameters"]["hidden"] == {"NumberValue": 128.0}
    assert seen["Parameters"]["activation"] == {"StringValue": "relu"}
    assert seen["Parameters"]["width"] == {"NumberValue": 128.0}
    assert "SageMaker.ModelArtifact" in seen["OutputArtifacts"]
    assert seen["Status"]["PrimaryStatus"] == "Completed"
    [loss] = seen["Metrics"]
    assert (loss["MetricName"], loss["Count"], loss["Max"]) == ("train:loss", 3, 1.0)
    assert loss["Last"] == pytest.approx(1 / 3)


def test_a_tracker_adds_to_a_job_that_has_ended(tracked: Run) -> None:
    assert tracked.report["later"]["verdict"] == {"StringValue": "good"}
    assert tracked.report["later"]["hidden"] == {"NumberValue": 128.0}


def test_tracked_components_become_a_data_frame(tracked: Run) -> None:
    assert "Training" in tracked.report["components"]
    rows = tracked.report["rows"]
    assert rows["Training"]["hidden"] == 128.0
    assert rows["Training"]["train:loss - Count"] == 3
    assert "Digits" in tracked.report["experiments"]
    assert "Digits" not in tracked.report["left"]


def test_version_3_keeps_a_record_too(
    shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run-v3") / "user"
    report = run_v3_program("experiments_v3.py", shared_server.home, folder).report
    assert report["run"]["Parameters"] == {
        "rate": {"NumberValue": 0.01},
        "optimizer": {"StringValue": "adam"},
        "later": {"NumberValue": 1.0},
    }
    assert report["run"]["OutputArtifacts"]["notes"]["Value"].endswith("/notes.txt")
    [loss] = report["run"]["Metrics"]
    assert (loss["Count"], loss["Max"]) == (12, 1.0)
    assert report["runs"] == ["by-hand"]
    assert "third" not in report["left"]


def test_two_models_are_compared_by_the_averages_of_their_metrics(
    shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("two-models") / "user"
    report = run_program("two_models.py", shared_server.home, folder).report
    statistics = ("Min", "Max", "Avg", "StdDev", "Last", "Count")
    assert report["columns"] == [
        *("TrialComponentName", "DisplayName", "SourceArn", "epochs", "model-name"),
        *(f"eval_f1 - {each}" for each in statistics),
        *(f"eval_loss - {each}" for each in statistics),
        *("SageMaker.ImageUri - MediaType", "SageMaker.ImageUri - Value"),
        *("train - MediaType", "train - Value"),
        *("SageMaker.ModelArtifact - MediaType", "SageMaker.ModelArtifact - Value"),
        *("Trials", "Experiments"),
    ]
    assert report["models"] == ['"small-bert"', '"tiny-bert"']
    assert report["average"] == pytest.approx([(0.5 + 0.75 + 5 / 6 + 0.875) / 4, (0.5 + 0.75) / 2])
    assert report["counts"] == [4, 2]
    assert report["trials"] == ["small-bert", "tiny-bert"]
    assert report["experiments"]


def test_a_study_has_an_experiment_with_its_children(shared_server: ServerProcess) -> None:
    sagemaker = shared_server.client("sagemaker")
    name = studies.study(shared_server, jobs=3)
    studies.wait(shared_server, name)
    experiment = f"{name}-aws-tuning-job"
    summaries = sagemaker.list_trial_components(ExperimentName=experiment)["TrialComponentSummaries"]
    tuned = {
        f"{each['TrainingJobName']}-aws-training-job": float(each["TunedHyperParameters"]["rate"])
        for each in studies.children(shared_server, name)
    }
    assert {each["TrialComponentName"] for each in summaries} == set(tuned)
    assert {each["Status"]["PrimaryStatus"] for each in summaries} == {"Completed"}
    for component, rate in tuned.items():
        described = sagemaker.describe_trial_component(TrialComponentName=component)
        assert described["Parameters"]["rate"]["NumberValue"] == rate
        [metric] = described["Metrics"]
        assert metric["MetricName"] == "f1"
        assert metric["Last"] == pytest.approx(1 - (rate - 0.3) ** 2)
    own = sagemaker.describe_trial_component(TrialComponentName=experiment)
    assert own["Status"]["PrimaryStatus"] == "Completed"
    assert own["Source"]["SourceType"] == "SageMakerHyperParameterTuningJob"


def test_the_component_is_complete_when_its_job_is(shared_server: ServerProcess) -> None:
    sagemaker = shared_server.client("sagemaker")
    for _ in range(3):
        name = submit(
            shared_server,
            "print('loss=0.5'); print('loss=0.25')",
            AlgorithmSpecification={"MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}]},
        )
        job = wait(shared_server, name)
        [summary] = sagemaker.list_trial_components(SourceArn=job["TrainingJobArn"])[
            "TrialComponentSummaries"
        ]
        component = sagemaker.describe_trial_component(TrialComponentName=summary["TrialComponentName"])
        assert component["Status"]["PrimaryStatus"] == "Completed"
        assert component["StartTime"] == job["TrainingStartTime"]
        assert component["EndTime"] == job["TrainingEndTime"]
        assert [(each["Count"], each["Last"]) for each in component["Metrics"]] == [(2, 0.25)]


def test_the_record_outlives_its_job(shared_server: ServerProcess) -> None:
    sagemaker = shared_server.client("sagemaker")
    definitions = [{"Name": "loss", "Regex": "loss=(.*)"}]
    name = submit(
        shared_server, "print('loss=0.5')", AlgorithmSpecification={"MetricDefinitions": definitions}
    )
    arn = wait(shared_server, name)["TrainingJobArn"]
    sagemaker.delete_training_job(TrainingJobName=name)
    submit(
        shared_server,
        "print('loss=0.125')",
        name=name,
        AlgorithmSpecification={"MetricDefinitions": definitions},
    )
    wait(shared_server, name)
    summaries = sagemaker.list_trial_components(SourceArn=arn)["TrialComponentSummaries"]
    values = [
        sagemaker.describe_trial_component(TrialComponentName=each["TrialComponentName"])["Metrics"][0][
            "Last"
        ]
        for each in summaries
    ]
    assert values == [0.125, 0.5], "the newest comes first"


def test_faults_have_the_codes_that_clients_match(shared_server: ServerProcess) -> None:
    sagemaker = shared_server.client("sagemaker")
    with pytest.raises(ClientError) as missing:
        sagemaker.describe_trial(TrialName="never-made")
    assert missing.value.response["Error"]["Code"] == "ResourceNotFound"
    with pytest.raises(ClientError) as config:
        submit(shared_server, "", ExperimentConfig={"ExperimentName": "never-made"})
    assert "ExperimentConfig.ExperimentName" in config.value.response["Error"]["Message"]
    with pytest.raises(ClientError) as both:
        sagemaker.list_trial_components(ExperimentName="a", TrialName="b")
    assert both.value.response["Error"]["Code"] == "ValidationException"
