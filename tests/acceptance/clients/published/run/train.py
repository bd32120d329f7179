import argparse

from sagemaker.experiments import load_run
from sagemaker.session import Session

parser = argparse.ArgumentParser()
parser.add_argument("--step_size", type=float)
arguments, _ = parser.parse_known_args()

with load_run(sagemaker_session=Session()) as run:
    for epoch in range(3):
        print(f"loss={arguments.step_size / (epoch + 1):.4f}", flush=True)
    run.log_metric("job:loss", arguments.step_size / 3, step=2)
