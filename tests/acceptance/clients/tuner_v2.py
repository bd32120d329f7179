"""A notebook's worth of tuning with version 2 of the SageMaker SDK. Nothing in it knows of Clary.

Usage: tuner_v2.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import sys
from pathlib import Path

import sagemaker
from sagemaker.analytics import HyperparameterTuningJobAnalytics
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.huggingface import HuggingFace
from sagemaker.tuner import (
    CategoricalParameter,
    ContinuousParameter,
    HyperparameterTuner,
    IntegerParameter,
    WarmStartConfig,
    WarmStartTypes,
)

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = str(Path(__file__).parent / "source")
seen: dict = {}

session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()
(folder / "data").mkdir(parents=True)
(folder / "data" / "one.txt").write_text("first\nsecond\n")
data = session.upload_data(str(folder / "data"), key_prefix="tuning-data")


def estimator(**options):
    return HuggingFace(
        entry_point="tune.py",
        source_dir=source,
        role=role,
        instance_type="ml.p3.2xlarge",
        instance_count=1,
        transformers_version="4.26",
        pytorch_version="1.13",
        py_version="py39",
        **options,
    )


metrics = [{"Name": "eval_f1", "Regex": "'eval_f1': ([0-9.]+)"}]
ranges = {
    "learning-rate": ContinuousParameter(5e-6, 5e-4, scaling_type="Logarithmic"),
    "batch-size": IntegerParameter(8, 64),
    "optimizer": CategoricalParameter(["adam", "adamw"]),
}


def make(base, **options):
    return HyperparameterTuner(
        **{
            "estimator": estimator(hyperparameters={"epochs": 2, "model-name": "tiny-bert"}),
            "objective_metric_name": "eval_f1",
            "hyperparameter_ranges": ranges,
            "metric_definitions": metrics,
            "max_jobs": 6,
            "max_parallel_jobs": 3,
            "base_tuning_job_name": base,
            "tags": [{"Key": "team", "Value": "nlp"}],
            **options,
        }
    )


# --- fit, analytics, the best ----------------------------------------------------------------------------------------
tuner = make("bert", random_seed=5)
tuner.fit({"train": data})
name = tuner.latest_tuning_job.name
described = tuner.describe()
seen["study"] = {
    "name": name,
    "status": described["HyperParameterTuningJobStatus"],
    "counters": described["TrainingJobStatusCounters"],
}
frame = tuner.analytics().dataframe()
seen["frame"] = json.loads(frame.to_json(orient="records", date_format="iso"))
seen["ranges"] = HyperparameterTuningJobAnalytics(name).tuning_ranges
seen["best"] = tuner.best_training_job()
best = tuner.best_estimator()
seen["best estimator"] = {"model_data": best.model_data, "hyperparameters": best.hyperparameters()}

# --- attach ----------------------------------------------------------------------------------------------------------
attached = HyperparameterTuner.attach(name)
seen["attached"] = {
    "best": attached.best_training_job(),
    "max_jobs": attached.max_jobs,
    "ranges": sorted(attached.hyperparameter_ranges()["CategoricalParameterRanges"][0]["Values"]),
}


# --- deploy: the best model is packed again with the code that serves it, and answers ------------------------------
def archives():
    return {key for key in session.list_s3_files(bucket, "") if key.endswith("/model.tar.gz")}


before = archives()
predictor = tuner.deploy(1, "ml.m5.xlarge", entry_point="best.py", model_name="the-best")
seen["repacked"] = [f"s3://{bucket}/{key}" for key in archives() - before]
seen["deployed"] = predictor.predict({"inputs": "How good are you?"})
predictor.delete_endpoint()

# --- more jobs for a finished study, and what was learned taken to another -------------------------------------------
more = make(
    "more",
    estimator=tuner.estimator,
    warm_start_config=WarmStartConfig(WarmStartTypes.IDENTICAL_DATA_AND_ALGORITHM, parents={name}),
    max_jobs=3,
)
more.fit({"train": data})
seen["more"] = {
    "status": more.describe()["HyperParameterTuningJobStatus"],
    "overall": more.describe()["OverallBestTrainingJob"],
    "best": more.best_training_job(),
}
transfer = tuner.transfer_learning_tuner(
    estimator=estimator(hyperparameters={"epochs": 2, "model-name": "tiny-bert"})
)
transfer.metric_definitions = metrics  # the SDK leaves them out of a tuner made from another
transfer.max_jobs = 3
transfer.base_tuning_job_name = "transfer"
transfer.fit({"train": data})
seen["transfer"] = transfer.describe()["HyperParameterTuningJobStatus"]

# --- two estimators at once ------------------------------------------------------------------------------------------
several = HyperparameterTuner.create(
    base_tuning_job_name="several",
    estimator_dict={"small": estimator(), "large": estimator()},
    objective_metric_name_dict={"small": "eval_f1", "large": "eval_f1"},
    hyperparameter_ranges_dict={"small": ranges, "large": ranges},
    metric_definitions_dict={"small": metrics, "large": metrics},
    max_jobs=4,
    max_parallel_jobs=2,
)
several.fit(
    {"small": {"train": data}, "large": {"train": data}},
    include_cls_metadata={"small": False, "large": False},
)
seen["several"] = {
    "status": several.describe()["HyperParameterTuningJobStatus"],
    "names": sorted(
        row["TrainingJobDefinitionName"]
        for row in json.loads(several.analytics().dataframe().to_json(orient="records", date_format="iso"))
    ),
    "best": several.best_training_job(),
}

# --- stop, and a study that cannot go well ---------------------------------------------------------------------------
endless = make("endless", estimator=estimator(), max_jobs=50, max_parallel_jobs=1)
endless.fit({"train": data}, wait=False)
endless.stop_tuning_job()
endless.wait()
seen["stopped"] = endless.describe()["HyperParameterTuningJobStatus"]

wrong = make("wrong", metric_definitions=[{"Name": "eval_f1", "Regex": "eval_f1=([0-9.]+)"}])
try:
    wrong.fit({"train": data})
except UnexpectedStatusException as error:
    seen["wrong"] = str(error)

report_file.write_text(json.dumps(seen, default=str))
