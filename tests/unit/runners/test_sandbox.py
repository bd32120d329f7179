"""What a confined program can and cannot see and do, tried with real bubblewrap."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from clary.agent.contract import Model, Plan
from clary.runners.interpreter import interpreter_paths
from clary.runners.sandbox import Sandbox, SandboxUnavailable
from clary.testing.contracts import sample_plan

SOURCE = Path(__file__).parents[3] / "src"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "jobs" / "job-1").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "jobs" / "job-1"


@pytest.fixture
def plan() -> Plan:
    return sample_plan(python=sys.executable)


@pytest.fixture
def sandbox(home: Path) -> Sandbox:
    sandbox = Sandbox(home)
    if sandbox.why_not:
        pytest.skip(sandbox.why_not)
    return sandbox


def run_inside(sandbox: Sandbox, folder: Path, plan: Plan, *command: str) -> subprocess.CompletedProcess[str]:
    confinement = sandbox.confine(folder, plan)
    return subprocess.run([*confinement.command, "--", *command], capture_output=True, text=True, timeout=60)


def test_the_folders_are_shared_both_ways(sandbox: Sandbox, folder: Path, plan: Plan) -> None:
    (folder / "ml").mkdir()
    (folder / "ml" / "given").write_text("in")
    script = "cat /opt/ml/given; echo out >/opt/ml/made; echo out >/opt/env/made; echo out >/tmp/made; echo x >~/made"
    done = run_inside(sandbox, folder, plan, "sh", "-c", script)
    assert (done.stdout, done.stderr) == ("in", "")
    for name in ("ml", "env", "tmp"):
        assert (folder / name / "made").read_text() == "out\n"


def test_writing_anywhere_else_fails(sandbox: Sandbox, folder: Path, plan: Plan) -> None:
    for place in ("/", "/opt", "/usr", "/etc", "/var", "/home", "/run", str(SOURCE)):
        done = run_inside(sandbox, folder, plan, "touch", f"{place}/clary-was-here")
        assert done.returncode != 0, place
        assert not (Path(place) / "clary-was-here").exists()


def test_clarys_home_and_other_jobs_are_hidden(
    sandbox: Sandbox, home: Path, folder: Path, plan: Plan
) -> None:
    (home / "credentials").write_text("secret")
    (home / "jobs" / "job-2").mkdir()
    for path in (home / "credentials", home / "jobs" / "job-2", folder / "plan.json"):
        assert run_inside(sandbox, folder, plan, "ls", str(path)).returncode != 0


def test_a_home_in_a_visible_place_is_covered(folder: Path, plan: Plan) -> None:
    sandbox = Sandbox(Path("/srv/clary"), environment={**os.environ, "HOME": "/home/someone"})
    if sandbox.why_not:
        pytest.skip(sandbox.why_not)
    command = sandbox.confine(folder, plan).command
    at = command.index("/srv/clary")
    assert command[at - 1] == "--tmpfs"
    assert command.index("/srv") < at


def test_a_home_below_what_the_interpreter_needs_is_covered(tmp_path: Path, plan: Plan) -> None:
    """As when somebody keeps both in a project's folder."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    home = environment / "home"
    folder = home / "jobs" / "job-1"
    folder.mkdir(parents=True)
    (home / "credentials").write_text("secret")
    sandbox = Sandbox(home)
    if sandbox.why_not:
        pytest.skip(sandbox.why_not)
    plan = replace(plan, python=str(environment / "bin" / "python"))
    script = f"print(open({str(environment / 'pyvenv.cfg')!r}).read()); open({str(home / 'credentials')!r})"
    done = run_inside(sandbox, folder, plan, plan.python, "-c", script)
    assert "home = " in done.stdout
    assert "FileNotFoundError" in done.stderr


def test_links_to_homes_open_no_way_around(tmp_path: Path, plan: Plan) -> None:
    """All in a folder that shows because the interpreter lies there."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (environment / "real").mkdir()
    (environment / "real" / "secret").write_text("secret")
    (environment / "clary").symlink_to(environment / "real")
    (environment / "out.db").write_text("secret")
    (environment / "out.db-wal").write_text("secret")
    home, folder = environment / "clary", environment / "clary" / "jobs" / "job-1"
    folder.mkdir(parents=True)
    sandbox = Sandbox(home, database=environment / "out.db")
    if sandbox.why_not:
        pytest.skip(sandbox.why_not)
    plan = replace(plan, python=str(environment / "bin" / "python"))
    done = run_inside(sandbox, folder, plan, "grep", "-rs", "secret", str(environment))
    assert done.stdout == ""
    done = run_inside(sandbox, folder, plan, plan.python, "-c", "print('runs')")
    assert done.stdout == "runs\n", done.stderr


def test_a_users_home_behind_a_link_is_replaced_at_both_ends(
    home: Path, folder: Path, plan: Plan, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "user").symlink_to(tmp_path / "real")
    sandbox = Sandbox(home, environment={**os.environ, "HOME": str(tmp_path / "user")})
    if sandbox.why_not:
        pytest.skip(sandbox.why_not)
    command = sandbox.confine(folder, plan).command
    for place in (tmp_path / "real", tmp_path / "user"):
        at = command.index(str(place))
        assert command[at - 2 : at] == ("--bind", str(folder / "home"))


@pytest.mark.parametrize("user_home", ["/", "/usr/nonexistent", "/nonexistent"])
def test_odd_user_homes_do_no_harm(home: Path, folder: Path, plan: Plan, user_home: str) -> None:
    sandbox = Sandbox(home, environment={**os.environ, "HOME": user_home})
    if sandbox.why_not:
        pytest.skip(sandbox.why_not)
    done = run_inside(
        sandbox, folder, plan, "sh", "-c", "echo fine >/tmp/x; cat /tmp/x; touch /usr/x || exit 3"
    )
    assert (done.stdout, done.returncode) == ("fine\n", 3)


def test_of_the_users_home_only_the_interpreter_shows(sandbox: Sandbox, folder: Path, plan: Plan) -> None:
    user_home = Path.home()
    shown = run_inside(sandbox, folder, plan, "ls", "-A", str(user_home)).stdout.split()
    needed = {
        path.relative_to(user_home).parts[0]
        for path in interpreter_paths(sys.executable)
        if user_home in path.parents
    }
    assert set(shown) <= needed | {".cache"}


def test_the_interpreter_works_with_all_its_packages(sandbox: Sandbox, folder: Path, plan: Plan) -> None:
    done = run_inside(
        sandbox, folder, plan, sys.executable, "-c", "import clary, pytest, botocore; print('fine')"
    )
    assert done.stdout == "fine\n", done.stderr


def test_its_host_names_are_the_loopback(sandbox: Sandbox, folder: Path, plan: Plan) -> None:
    script = "import socket; print(socket.gethostname(), *map(socket.gethostbyname, ['algo-1', 'algo-2', 'localhost']))"
    plan = replace(plan, hosts=("algo-1", "algo-2"))
    done = run_inside(sandbox, folder, plan, sys.executable, "-c", script)
    assert done.stdout == "algo-1 127.0.0.1 127.0.0.1 127.0.0.1\n", done.stderr


def test_it_sees_no_other_process_and_has_no_powers(sandbox: Sandbox, folder: Path, plan: Plan) -> None:
    script = "ls -d /proc/[0-9]* | wc -l; grep -E 'CapEff|NoNewPrivs' /proc/self/status; kill -0 $1"
    done = run_inside(sandbox, folder, plan, "sh", "-c", script, "sh", str(os.getpid()))
    count, powers, privileges = done.stdout.splitlines()
    assert int(count) < 8
    assert powers.split() == ["CapEff:", "0" * 16]
    assert privileges.split() == ["NoNewPrivs:", "1"]
    assert done.returncode != 0


def test_the_kernels_settings_cannot_be_changed(sandbox: Sandbox, folder: Path, plan: Plan) -> None:
    script = "find /proc/sys -type f -writable | head -3; test -r /proc/sys/kernel/ostype"
    done = run_inside(sandbox, folder, plan, "sh", "-c", script)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_password_hashes_are_hidden(sandbox: Sandbox, folder: Path, plan: Plan) -> None:
    assert run_inside(sandbox, folder, plan, "cat", "/etc/shadow").stdout == ""
    assert "root" in run_inside(sandbox, folder, plan, "cat", "/etc/passwd").stdout


def test_downloads_of_models_are_shared_but_no_token(
    home: Path, folder: Path, plan: Plan, tmp_path: Path
) -> None:
    cache = tmp_path / "hf"
    (cache / "hub").mkdir(parents=True)
    (cache / "token").write_text("hf_secret")
    sandbox = Sandbox(home, environment={**os.environ, "HF_HOME": str(cache)})
    if sandbox.why_not:
        pytest.skip(sandbox.why_not)
    done = run_inside(sandbox, folder, plan, "sh", "-c", f"echo model >{cache}/hub/made; cat {cache}/token")
    assert (cache / "hub" / "made").read_text() == "model\n"
    assert done.stdout == ""


def test_the_servers_certificate_is_visible(sandbox: Sandbox, home: Path, folder: Path, plan: Plan) -> None:
    bundle = home / "ca.pem"
    bundle.write_text("certificate")
    plan = replace(plan, access=replace(plan.access, ca_bundle=str(bundle)))
    assert run_inside(sandbox, folder, plan, "cat", str(bundle)).stdout == "certificate"


def test_an_ordinary_user_is_confined_too() -> None:
    """Run by a subprocess that has given up being root; the other tests are that user's when root runs them not."""
    if os.geteuid() != 0:
        pytest.skip("these tests run as an ordinary user already")
    if subprocess.run(["/usr/bin/python3", "-c", "import tomllib"], capture_output=True).returncode:
        pytest.skip("needs a system Python 3.11 that every user can run")
    place = Path(tempfile.mkdtemp(prefix="clary-sandbox-"))
    try:
        shutil.copytree(SOURCE / "clary", place / "clary", ignore=shutil.ignore_patterns("__pycache__"))
        for path in (place, *place.rglob("*")):
            shutil.chown(path, 65534, 65534)
        program = f"""
import subprocess, sys
from dataclasses import asdict
from pathlib import Path
sys.path.insert(0, {str(place)!r})
from clary.agent.contract import Access, Plan
from clary.runners.sandbox import Sandbox
home = Path({str(place)!r}) / "home"
folder = home / "jobs" / "job-1"
folder.mkdir(parents=True)
(home / "secret").write_text("secret")
plan = Plan("j", "arn", Access("http://127.0.0.1:9", "us-east-1", "a", "b"), "/usr/bin/python3", {{}}, [], "s3://b")
sandbox = Sandbox(home)
if sandbox.why_not:
    sys.exit("skip: " + sandbox.why_not)
script = f"id -u; hostname; echo out >/opt/ml/made; touch /usr/x || cat {{home}}/secret || python3 -c 'print(1)'"
subprocess.run([*sandbox.confine(folder, plan).command, "--", "sh", "-c", script], check=True)
print((folder / "ml" / "made").read_text())

import os, signal, time
from dataclasses import replace
from clary.runners.local import LocalRunner, agent_of
from clary.runners.processes import family
def members():
    return family(agent_of(folder), mark=b"CLARY_JOB=job-2")
folder = home / "jobs" / "job-2"
runner = LocalRunner(sandbox)
runner.launch(folder, replace(plan, entrypoint=("sh", "-c", "setsid sleep 600 & sleep 600")))
while len(members()) < 6:
    assert runner.is_alive(folder), (folder / "agent.log").read_text() + (folder / "outcome.json").read_text()
    time.sleep(0.01)
os.kill(agent_of(folder).pid, signal.SIGKILL)
runner.clear(folder)
print(runner.is_alive(folder), len(members()))
"""
        drop = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*drop, "/usr/bin/python3", "-c", program],
            capture_output=True,
            text=True,
            env=environment,
            cwd="/",
            timeout=60,
        )
    finally:
        shutil.rmtree(place)
    if done.stderr.startswith("skip: "):
        pytest.skip(done.stderr)
    assert done.stdout.split() == ["65534", "algo-1", "1", "out", "False", "0"], done.stderr


def test_without_bubblewrap_it_says_so(home: Path, folder: Path, plan: Plan) -> None:
    confinement = Sandbox(home, program="no-such-bwrap").confine(folder, plan)
    assert confinement.command == ()
    assert confinement.isolation == "none: bubblewrap is not installed"


def test_a_kernel_that_refuses_is_named(home: Path, tmp_path: Path) -> None:
    bwrap = tmp_path / "bwrap"
    bwrap.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    bwrap.chmod(0o755)
    assert "user namespaces are disabled" in Sandbox(home, program=str(bwrap)).isolation
    bwrap.write_text("#!/bin/sh\necho 'bwrap: unheard of' >&2\nexit 1\n")
    assert "unheard of" in Sandbox(home, program=str(bwrap)).isolation


def test_switched_off(home: Path, folder: Path, plan: Plan) -> None:
    confinement = Sandbox(home, isolation="none").confine(folder, plan)
    assert (confinement.command, confinement.isolation) == ((), "none: isolation is switched off")


def test_demanding_what_does_not_work_is_refused(home: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="CLARY_ISOLATION=bubblewrap: bubblewrap is not installed"):
        Sandbox(home, isolation="bubblewrap", program="no-such-bwrap")


def test_an_unknown_isolation_is_refused(home: Path) -> None:
    with pytest.raises(ValueError, match="say one of auto, bubblewrap, none"):
        Sandbox(home, isolation="docker")


def test_an_instance_sees_the_model_server_wherever_it_lies(
    sandbox: Sandbox, folder: Path, plan: Plan, home: Path
) -> None:
    """Its own environment need not know Clary, nor lie where Clary's lies."""
    serving = replace(plan, python="/usr/bin/python3", model=Model("image"))
    package = str(SOURCE / "clary")
    assert run_inside(sandbox, folder, serving, "ls", f"{package}/agent/run.py").returncode == 0
    assert run_inside(sandbox, folder, serving, "ls", str(home)).stdout == ""


def test_an_instance_sees_the_paths_of_its_command(
    sandbox: Sandbox, folder: Path, plan: Plan, home: Path
) -> None:
    beside = home.parent / "serve.py"
    beside.write_text("here")
    (home.parent / "other.py").write_text("there")
    command = ["python", str(beside), "--nothing", "/not/there", "/tmp", "/"]
    serving = replace(plan, model=Model("image", serve=command))
    assert run_inside(sandbox, folder, serving, "cat", str(beside)).stdout == "here"
    assert run_inside(sandbox, folder, serving, "ls", str(home.parent / "other.py")).returncode != 0


def named(folder: Path, plan: Plan) -> Plan:
    return replace(plan, model=Model("image"), environment={"HF_MODEL_ID": str(folder)})


def test_an_instance_sees_the_model_that_it_is_told_of(
    sandbox: Sandbox, folder: Path, plan: Plan, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text('{"model_type": "bert"}')
    seen = run_inside(sandbox, folder, named(tmp_path / "mine", plan), "ls", str(tmp_path / "mine"))
    assert seen.stdout == "config.json\n"
    # and nothing of what lies beside it
    assert run_inside(sandbox, folder, named(tmp_path / "mine", plan), "ls", str(tmp_path)).stdout == "mine\n"


@pytest.mark.parametrize("configuration", [None, "no JSON", "{}", "7", '{"auths": {}}'])
def test_a_folder_that_holds_no_model_stays_hidden(
    sandbox: Sandbox, folder: Path, plan: Plan, tmp_path: Path, configuration: str | None
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("s")
    if configuration is not None:
        (secret / "config.json").write_text(configuration)
    assert run_inside(sandbox, folder, named(secret, plan), "ls", str(secret)).returncode != 0


def test_a_model_within_clarys_home_stays_hidden(
    sandbox: Sandbox, folder: Path, plan: Plan, home: Path
) -> None:
    (home / "config.json").write_text('{"model_type": "bert"}')
    (home / "jobs" / "config.json").write_text('{"model_type": "bert"}')
    for inside in (home, home / "jobs"):
        assert "config.json" not in run_inside(sandbox, folder, named(inside, plan), "ls", str(inside)).stdout
