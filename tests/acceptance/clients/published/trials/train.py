"""Prints what a Trainer prints, and keeps what it printed."""

import argparse
import json
import math
import os

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--train_batch_size", type=int, default=32)
parser.add_argument("--model_name", type=str)
parser.add_argument("--learning_rate", type=float, default=5e-5)
arguments, _ = parser.parse_known_args()

ahead = 0.02 if arguments.model_name.startswith("bert") else 0.0
history = []
for epoch in range(1, arguments.epochs + 1):
    rate = arguments.learning_rate * (1 - epoch / (arguments.epochs + 1))
    training = {
        "loss": round(math.exp(-epoch) + 0.1 - ahead, 4),
        "learning_rate": rate,
        "epoch": float(epoch),
    }
    evaluation = {
        "eval_loss": round(0.5 / epoch - ahead, 4),
        "eval_accuracy": round(0.9 - 0.1 / epoch + ahead, 4),
        "eval_runtime": 1.5,
        "epoch": float(epoch),
    }
    for entry in (training, evaluation):
        print(entry, flush=True)
        history.append(entry)

with open(f"{os.environ['SM_MODEL_DIR']}/history.json", "w") as file:
    json.dump(history, file)
