"""The least an agent must do to keep the runner's protocol: for tests of the runner alone.

Usage: python stand_in.py FOLDER, with `clary` importable.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from clary.agent import contract
from clary.agent.contract import Outcome


def main(folder: Path) -> None:
    lock = open(folder / contract.LOCK, "ab")  # noqa: SIM115  held until the end
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    with open(folder / "starts", "a") as starts:
        starts.write(f"{os.getpid()}\n")
    signal.signal(signal.SIGTERM, lambda *_: None)
    stat = Path("/proc/self/stat").read_text()
    started = int(stat[stat.rindex(")") + 2 :].split()[19])
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    contract.write_document(folder / contract.AGENT, {"pid": os.getpid(), "started": started, "boot": boot})
    plan = contract.read_plan(folder)
    command = [*plan.sandbox, "--"] if plan.sandbox else []
    (folder / contract.LOGS).mkdir()
    with open(folder / contract.LOGS / f"{plan.host}.log", "wb") as log:
        log.write(b"0\t")
        log.flush()
        program = subprocess.Popen(
            [*command, *plan.entrypoint], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    stopped = False
    while program.poll() is None:
        if (folder / contract.STOP).exists() and not stopped:
            stopped = True
            program.send_signal(signal.SIGKILL if plan.sandbox else signal.SIGTERM)
        time.sleep(0.02)
    status = "Stopped" if stopped else "Failed" if program.returncode else "Completed"
    contract.write_outcome(folder, Outcome(status, status, time.time(), exit_code=program.returncode))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
