"""A notebook's worth of tuning with version 3 of the SageMaker SDK. Nothing in it knows of Clary.

Usage: tuner_v3.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import logging
import sys
from pathlib import Path

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter
from sagemaker.core.resources import HyperParameterTuningJob
from sagemaker.core.shapes import StoppingCondition
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode
from sagemaker.train.tuner import HyperparameterTuner

logging.basicConfig(level=logging.INFO)
report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = str(Path(__file__).parent / "source")
image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.2.0-cpu-py310-ubuntu20.04-sagemaker"
seen: dict = {}

session = Session()
(folder / "data").mkdir(parents=True)
(folder / "data" / "one.txt").write_text("first\nsecond\n")
data = session.upload_data(str(folder / "data"), session.default_bucket(), "tuning-data")

trainer = ModelTrainer(
    training_image=image,
    source_code=SourceCode(source_dir=source, entry_script="tune.py"),
    compute=Compute(instance_type="ml.m5.xlarge", instance_count=1),
    stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
    hyperparameters={"epochs": 2, "model-name": "tiny-bert"},
)
tuner = HyperparameterTuner(
    model_trainer=trainer,
    objective_metric_name="eval_f1",
    hyperparameter_ranges={
        "learning-rate": ContinuousParameter(5e-6, 5e-4, scaling_type="Logarithmic"),
        "batch-size": IntegerParameter(8, 64),
        "optimizer": CategoricalParameter(["adam", "adamw"]),
    },
    metric_definitions=[{"Name": "eval_f1", "Regex": "'eval_f1': ([0-9.]+)"}],
    max_jobs=6,
    max_parallel_jobs=3,
    base_tuning_job_name="three",
    random_seed=5,
)
tuner.tune(inputs=[InputData(channel_name="train", data_source=data)])
job = tuner.latest_tuning_job.refresh()
seen["study"] = {
    "name": job.hyper_parameter_tuning_job_name,
    "status": job.hyper_parameter_tuning_job_status,
    "completed": job.training_job_status_counters.completed,
}
seen["frame"] = json.loads(tuner.analytics().dataframe().to_json(orient="records"))
seen["best"] = tuner.best_training_job()
found = HyperParameterTuningJob.get(hyper_parameter_tuning_job_name=job.hyper_parameter_tuning_job_name)
seen["found"] = found.best_training_job.training_job_name
seen["listed"] = [each.hyper_parameter_tuning_job_name for each in HyperParameterTuningJob.get_all()]
seen["children"] = len(list(found.get_all_training_jobs()))

report_file.write_text(json.dumps(seen, default=str))
