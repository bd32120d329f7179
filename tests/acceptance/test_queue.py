"""Jobs wait for room, start in order, and never take more than there is."""

from __future__ import annotations

from clary.runners.machine import Machine
from tests.acceptance.programs import describe, submit, wait, wait_for_line
from tests.server_process import ServerProcess


def test_a_job_is_pending_until_another_gives_up_its_slots(server: ServerProcess) -> None:
    (server.home / "instances.toml").write_text(
        f'[instances]\n"ml.whole" = {{ cpus = {Machine.look().cpus}, memory_gib = 1 }}\n'
    )
    server.stop()
    server.restart()
    whole = {"InstanceType": "ml.whole", "InstanceCount": 1, "VolumeSizeInGB": 1}
    first = submit(server, "import time; print('running', flush=True); time.sleep(600)", ResourceConfig=whole)
    wait_for_line(server, first, "running")
    second = submit(server, "print('second')", ResourceConfig=whole)
    third = submit(server, "print('third')", ResourceConfig=whole)
    assert wait(server, second, secondary="Pending")["TrainingJobStatus"] == "InProgress"
    wait(server, third, secondary="Pending")
    server.client("sagemaker").stop_training_job(TrainingJobName=first)
    wait(server, first, until="Stopped")
    ended = [wait(server, name, until="Completed") for name in (second, third)]
    assert ended[0]["TrainingEndTime"] <= ended[1]["TrainingStartTime"]


def test_a_pending_job_can_be_stopped(server: ServerProcess) -> None:
    cpus = Machine.look().cpus
    (server.home / "instances.toml").write_text(f'[instances]\n"*" = {{ cpus = {cpus}, memory_gib = 1 }}\n')
    server.stop()
    server.restart()
    first = submit(server, "import time; print('running', flush=True); time.sleep(600)")
    wait_for_line(server, first, "running")
    second = submit(server, "print('second')")
    wait(server, second, secondary="Pending")
    server.client("sagemaker").stop_training_job(TrainingJobName=second)
    described = wait(server, second, until="Stopped")
    assert "TrainingStartTime" not in described
    assert describe(server, first)["TrainingJobStatus"] == "InProgress"
