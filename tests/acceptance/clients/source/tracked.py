"""A script that tracks itself with sagemaker-experiments, as its users did before there was `Run`."""

import os
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

from smexperiments.tracker import Tracker  # noqa: E402

with Tracker.load() as tracker:
    tracker.log_parameters({"hidden": 128, "activation": "relu"})
    for epoch in range(3):
        tracker.log_metric("train:loss", 1.0 / (epoch + 1), iteration_number=epoch)
    print(f"tracked in {tracker.trial_component.trial_component_name}", flush=True)

Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("weights")
