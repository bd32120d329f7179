"""Identities and families, of real processes."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from clary.runners.processes import Identity, family
from clary.testing.contracts import eventually


def test_a_process_is_itself_and_no_other() -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    assert me.is_running()
    assert not replace(me, started=me.started + 1).is_running()
    assert not replace(me, boot="another").is_running()


def test_a_zombie_does_not_run() -> None:
    process = subprocess.Popen(["true"])
    eventually(lambda: Identity.of(process.pid) is None, "it has ended")
    assert process.wait() == 0


def test_processes_that_may_not_be_looked_at_are_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /proc mounted with hidepid=1 shows those of other users."""
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("boot")
    (tmp_path / "1/stat").mkdir(parents=True)  # root may read anything, but not this
    monkeypatch.setattr("clary.runners.processes._PROC", tmp_path)
    assert Identity.of(1) is None
    assert family(None, mark=b"CLARY_JOB=x") == set()


def test_a_name_with_parentheses_is_read_right() -> None:
    program = "import sys; open('/proc/self/comm', 'w').write('a) Z 1 (b'); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        comm = Path(f"/proc/{process.pid}/comm")
        eventually(lambda: comm.read_text() == "a) Z 1 (b\n", "it has its name")
        identity = Identity.of(process.pid)
        assert identity is not None
        assert identity.started > 0


def test_a_signal_reaches_the_very_process_only() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        identity = Identity.of(process.pid)
        assert identity is not None
        assert not replace(identity, started=identity.started - 1).send(signal.SIGKILL)
        assert identity.is_running()
        assert identity.send(signal.SIGKILL)
    assert not identity.send(signal.SIGKILL)


def test_a_family_is_who_bears_the_mark_and_whom_they_started() -> None:
    environment = {**os.environ, "MARK": "unheard-of"}
    command = ["sh", "-c", "env -u MARK sleep 600 & echo $!; wait"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        found = family(None, mark=b"MARK=unheard-of")
        assert {identity.pid for identity in found} == {process.pid, child}
        assert family(None, mark=b"MARK=unheard") == set()
        for identity in found:
            identity.send(signal.SIGKILL)


@pytest.mark.parametrize("document", [{}, {"pid": "x", "started": 1, "boot": ""}, {"pid": 1, "boot": ""}])
def test_what_is_no_identity_is_refused(document: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Identity.parse(document)
