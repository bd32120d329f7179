"""Serves the model of tune.py: it answers how good it was."""

from pathlib import Path


def model_fn(model_dir):
    return float(Path(model_dir, "f1.txt").read_text())


def predict_fn(data, model):
    return {"asked": data["inputs"], "f1": model}
