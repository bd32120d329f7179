"""A training script that saves what it has when it is told to stop."""

import os
import signal
import sys
import time
from pathlib import Path


def stop(*_):
    (Path(os.environ["SM_MODEL_DIR"]) / "partial.txt").write_text("half of it")
    print("stopping as told", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
print("running", flush=True)
while True:
    time.sleep(0.1)
