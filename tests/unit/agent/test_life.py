from __future__ import annotations

from typing import Any

from clary.agent.contract import Channel, MetricDefinition


def test_a_script_job_from_its_code_to_its_model(any_job: Any) -> None:
    any_job.s3.bucket["data/train/a.txt"] = b"one"
    any_job.s3.bucket["data/train/deep/b.txt"] = b"two"
    program = """
import argparse, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
args = parser.parse_args()
folder = os.environ["SM_CHANNEL_TRAIN"]
text = open(folder + "/a.txt").read() + open(folder + "/deep/b.txt").read()
print("hello", args.epochs, text, os.getcwd() == os.environ["SM_INPUT_DIR"].replace("input", "code"))
print("{'eval_loss': '0.25', 'epoch': 1}", file=sys.stderr)
open(args.model_dir + "/weights", "w").write(text)
open(os.environ["SM_OUTPUT_DATA_DIR"] + "/notes", "w").write("n")
"""
    plan = any_job.script(
        program,
        hyperparameters={"epochs": "3"},
        channels=[Channel("train", "s3://bucket/data/train")],
        metric_definitions=[MetricDefinition("eval_loss", "'eval_loss': (.*?),")],
    )
    outcome = any_job.run(plan)
    assert (outcome.status, outcome.secondary, outcome.exit_code) == ("Completed", "Completed", 0), outcome
    assert outcome.artifacts == "s3://bucket/out/job/output/model.tar.gz"
    assert any_job.s3.archive("out/job/output/model.tar.gz") == {"weights": b"onetwo"}
    assert any_job.s3.archive("out/job/output/output.tar.gz") == {"notes": b"n"}
    assert any_job.story() == ["Downloading", "Training", "Uploading"]
    assert "hello 3 onetwo True" in any_job.log()
    assert [(entry["name"], entry["value"]) for entry in any_job.documents("metrics.jsonl")] == [
        ("eval_loss", 0.25)
    ]
    usage = any_job.documents("usage.jsonl")[-1]
    assert usage["host"] == "algo-1" and usage["CPUUtilization"] > 0 and usage["DiskUtilization"] > 0
