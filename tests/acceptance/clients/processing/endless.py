import signal
import sys
import time
from pathlib import Path


def stop(*_):
    print("stopping as told", flush=True)
    Path("/opt/ml/processing/out/partial.txt").write_text("half of it")
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
print("running", flush=True)
time.sleep(600)
