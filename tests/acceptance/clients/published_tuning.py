"""A notebook that tunes a classifier and evaluates its best candidate. Nothing in it knows of Clary.

Usage: published_tuning.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import numpy as np
import pandas as pd
import sagemaker
from sagemaker.processing import ProcessingInput, ProcessingOutput
from sagemaker.s3 import S3Downloader
from sagemaker.sklearn.estimator import SKLearn
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.tuner import CategoricalParameter, ContinuousParameter, HyperparameterTuner

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = Path(__file__).parent / "published" / "tuning"

session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()

# --- the data: stars of reviews --------------------------------------------------------------------------------------
words = {1: ["awful", "boring"], 3: ["average", "fine"], 5: ["great", "moving"]}
random = np.random.default_rng(4)
rows = []
for _ in range(240):
    stars = int(random.choice([1, 3, 5]))
    said = stars if random.random() < 0.85 else int(random.choice([1, 3, 5]))
    text = " ".join(
        [*random.choice(words[said], 2), *random.choice(["film", "plot", "the", "a", "actor"], 4)]
    )
    rows.append({"review_body": text, "star_rating": stars})
frame = pd.DataFrame(rows)
frame[:180].to_csv(folder / "train.csv", index=False)
frame[180:].to_csv(folder / "test.csv", index=False)
train = session.upload_data(str(folder / "train.csv"), key_prefix="reviews/train")
test = session.upload_data(str(folder / "test.csv"), key_prefix="reviews/test")

# --- tuning ----------------------------------------------------------------------------------------------------------
estimator = SKLearn(
    entry_point="train.py",
    source_dir=str(source),
    role=role,
    instance_type="ml.c5.2xlarge",
    instance_count=1,
    framework_version="1.2-1",
    hyperparameters={"max_features": 500},
)
tuner = HyperparameterTuner(
    estimator=estimator,
    objective_metric_name="validation:accuracy",
    objective_type="Maximize",
    hyperparameter_ranges={
        "C": ContinuousParameter(0.001, 10, scaling_type="Logarithmic"),
        "ngram": CategoricalParameter([1, 2]),
    },
    metric_definitions=[{"Name": "validation:accuracy", "Regex": "val_accuracy: ([0-9\\.]+)"}],
    max_jobs=4,
    max_parallel_jobs=2,
    strategy="Random",
)
tuner.fit({"train": train}, include_cls_metadata=False)
candidates = tuner.analytics().dataframe().sort_values("FinalObjectiveValue", ascending=False)
best = boto3.client("sagemaker").describe_training_job(TrainingJobName=tuner.best_training_job())

# --- the best candidate, on data that it has not seen ----------------------------------------------------------------
processor = SKLearnProcessor(
    framework_version="1.2-1",
    role=role,
    instance_type="ml.m5.xlarge",
    instance_count=1,
    env={"AWS_DEFAULT_REGION": session.boto_region_name},
    max_runtime_in_seconds=3600,
    base_job_name="evaluate-best",
)
processor.run(
    code=str(source / "evaluate_model_metrics.py"),
    inputs=[
        ProcessingInput(
            input_name="model-tar-s3",
            source=best["ModelArtifacts"]["S3ModelArtifacts"],
            destination="/opt/ml/processing/input/model/",
        ),
        ProcessingInput(
            input_name="evaluation-data-s3", source=test, destination="/opt/ml/processing/input/data/"
        ),
    ],
    outputs=[
        ProcessingOutput(
            output_name="metrics", s3_upload_mode="EndOfJob", source="/opt/ml/processing/output/metrics"
        )
    ],
    logs=True,
    wait=True,
)

# --- what it found, back from the bucket -----------------------------------------------------------------------------
described = processor.jobs[-1].describe()
metrics = described["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
where = urlsplit(metrics)
key = f"{where.path.lstrip('/')}/confusion_matrix.png"
boto3.client("s3").download_file(where.netloc, key, str(folder / "confusion_matrix.png"))

report = {
    "candidates": json.loads(candidates.to_json(orient="records", date_format="iso")),
    "best": best["TrainingJobName"],
    "best hyperparameters": best["HyperParameters"],
    "status": described["ProcessingJobStatus"],
    "evaluation": json.loads(S3Downloader.read_file(f"{metrics}/evaluation.json")),
    "files": sorted(uri.removeprefix(metrics) for uri in S3Downloader.list(metrics)),
    "test rows": [int(stars) for stars in frame[180:]["star_rating"]],
}
report_file.write_text(json.dumps(report))
