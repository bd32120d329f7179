"""A training script that also says how its model is served, as in the scikit-learn examples of SageMaker."""

import os
from pathlib import Path

import joblib
import numpy as np
from sklearn.tree import DecisionTreeClassifier


def model_fn(model_dir):
    return joblib.load(Path(model_dir) / "model.joblib")


if __name__ == "__main__":
    table = np.loadtxt(Path(os.environ["SM_CHANNEL_TRAIN"]) / "train.csv", delimiter=",")
    model = DecisionTreeClassifier().fit(table[:, :-1], table[:, -1].astype(int))
    joblib.dump(model, Path(os.environ["SM_MODEL_DIR"]) / "model.joblib")
