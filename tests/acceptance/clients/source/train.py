"""A training script that needs nothing but Python: it reads what SageMaker gives it and leaves what it expects."""

import argparse
import json
import os
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--learning_rate", type=float, default=0.1)
parser.add_argument("--model-name", dest="model_name", default="")
parser.add_argument("--fp16", default="")
known, rest = parser.parse_known_args()

channel = Path(os.environ["SM_CHANNEL_TRAIN"])
lines = [line for path in sorted(channel.rglob("*.txt")) for line in path.read_text().splitlines()]
print(f"training {known.model_name} on {len(lines)} lines", flush=True)
for epoch in range(1, known.epochs + 1):
    print({"loss": 1 / epoch, "learning_rate": known.learning_rate, "epoch": float(epoch)}, flush=True)
    print(f"{{'eval_loss': {0.5 / epoch}, 'eval_f1': {1 - 0.5 / epoch}}}", flush=True)
print("a word on stderr", file=sys.stderr, flush=True)

report = {
    "arguments": sys.argv[1:],
    "unknown": rest,
    "lines": lines,
    "hps": json.loads(os.environ["SM_HPS"]),
    "channels": json.loads(os.environ["SM_CHANNELS"]),
    "job": os.environ["TRAINING_JOB_NAME"],
    "own": os.environ.get("OWN_VARIABLE"),
}
(Path(os.environ["SM_MODEL_DIR"]) / "report.json").write_text(json.dumps(report))
(Path(os.environ["SM_OUTPUT_DATA_DIR"]) / "predictions.txt").write_text("1\n0\n")
print("done", flush=True)
