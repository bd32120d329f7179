"""A fast stand-in for a training program: its objective follows from its hyperparameters."""

import argparse
import math
import os

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float, required=True)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--optimizer", default="adam")
parser.add_argument("--epochs", type=int, default=1)
given, _ = parser.parse_known_args()

best = 0.918 - 0.05 * (given.optimizer.strip('"') != "adamw") - 0.001 * abs(given.batch_size - 32)
f1 = best - 0.17 * ((math.log10(given.learning_rate) - math.log10(6.47e-5)) / 0.9) ** 2
for epoch in range(1, given.epochs + 1):
    print(f"'eval_f1': {f1 * epoch / given.epochs:.6f}, 'epoch': {epoch}", flush=True)
with open(os.environ["SM_MODEL_DIR"] + "/f1.txt", "w") as file:
    file.write(str(f1))
