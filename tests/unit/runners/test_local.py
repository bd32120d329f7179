"""What the contract cannot say for every runner: real processes, how they end and what they leave."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from clary.agent import contract
from clary.agent.contract import Model
from clary.runners.local import LAUNCHED, LocalRunner, agent_command, agent_environment, agent_of
from clary.runners.processes import Identity, family
from clary.runners.sandbox import Sandbox
from clary.testing.contracts import eventually, sample_plan

STAND_IN = Path(__file__).parent / "stand_in.py"
AGENT = (sys.executable, str(STAND_IN))


def make_runner(home: Path, *, isolation: str = "none", agent: tuple[str, ...] = AGENT) -> LocalRunner:
    return LocalRunner(Sandbox(home, isolation=isolation), agent=agent)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def folder(home: Path) -> Iterator[Path]:
    folder = home / "jobs" / f"job-{os.urandom(4).hex()}"
    yield folder
    make_runner(home).clear(folder)
    assert members(folder) == set()


def members(folder: Path) -> set[Identity]:
    return family(agent_of(folder), mark=f"CLARY_JOB={folder.name}".encode())


def output(folder: Path) -> str:
    path = folder / contract.LOGS / "algo-1.log"
    return path.read_text() if path.exists() else ""


def agent_script(*lines: str) -> tuple[str, ...]:
    return (sys.executable, "-c", "\n".join(("import os, sys, time; folder = sys.argv[1]", *lines)))


@pytest.mark.parametrize("agent", [AGENT, ()], ids=["stand-in", "agent"])
@pytest.mark.parametrize("isolation", ["none", "auto"])
def test_killing_the_agent_and_clearing_leaves_no_process(
    home: Path, folder: Path, isolation: str, agent: tuple[str, ...]
) -> None:
    """The program has a child that went to a session of its own and one that ignores SIGTERM."""
    runner = make_runner(home, isolation=isolation, agent=agent)
    script = "setsid sleep 600 & (trap '' TERM; sleep 600) & sleep 600 & echo started; wait"
    runner.launch(folder, sample_plan("sh", "-c", script, python=sys.executable))
    eventually(lambda: "started" in output(folder), "the program has started")
    assert len(members(folder)) >= 5
    identity = agent_of(folder)
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    eventually(lambda: not runner.is_alive(folder), "the agent is gone")
    runner.clear(folder)
    assert members(folder) == set()


def test_clearing_finds_children_that_dropped_their_mark(home: Path, folder: Path) -> None:
    runner = make_runner(home)
    runner.launch(folder, sample_plan("sh", "-c", "env -i setsid sleep 600 & echo $!; wait"))
    eventually(lambda: output(folder).endswith("\n"), "the program has started")
    child = int(output(folder).split()[-1])
    assert Identity.of(child)
    runner.clear(folder)
    assert Identity.of(child) is None


def test_clearing_spares_everybody_else(home: Path, folder: Path) -> None:
    runner = make_runner(home)
    other = folder.with_name("other-job")
    for place in (folder, other):
        runner.launch(place, sample_plan("sleep", "600"))
    runner.clear(folder)
    assert runner.is_alive(other)
    runner.clear(other)
    assert members(other) == set()


def test_the_agent_outlives_a_killed_server(home: Path, folder: Path) -> None:
    program = f"""
import time
from pathlib import Path
from clary.runners.local import LocalRunner
from clary.runners.sandbox import Sandbox
from clary.testing.contracts import sample_plan
runner = LocalRunner(Sandbox(Path({str(home)!r}), isolation="none"), agent={AGENT!r})
runner.launch(Path({str(folder)!r}), sample_plan("sleep", "600"))
print("launched", flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"launched\n"
        # as Ctrl-C and a closed terminal do: to the whole group
        os.killpg(server.pid, signal.SIGINT)
        os.killpg(server.pid, signal.SIGKILL)
    runner = make_runner(home)
    assert runner.is_alive(folder)
    eventually((folder / contract.AGENT).exists, "the agent is at work")
    runner.stop(folder)
    eventually(lambda: contract.read_outcome(folder) is not None, "the agent left its outcome")
    eventually(lambda: not runner.is_alive(folder), "the agent is gone")


def test_two_processes_with_eight_threads_each_start_one_agent(home: Path, folder: Path) -> None:
    program = f"""
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from clary.runners.local import LocalRunner
from clary.runners.sandbox import Sandbox
from clary.testing.contracts import sample_plan
runner = LocalRunner(Sandbox(Path({str(home)!r}), isolation="none"), agent={AGENT!r})
plan = sample_plan("sleep", "600")
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda _: runner.launch(Path({str(folder)!r}), plan), range(16)))
"""
    racers = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [racer.wait() for racer in racers] == [0, 0]
    eventually((folder / "starts").exists, "the agent is at work")
    starts = (folder / "starts").read_text().split()
    assert [int(pid) for pid in starts] == [json.loads((folder / LAUNCHED).read_text())["pid"]]


def test_an_agent_that_ended_leaves_no_zombie(home: Path, folder: Path) -> None:
    runner = make_runner(home, agent=agent_script("sys.exit(3)"))
    runner.launch(folder, sample_plan("true"))
    pid = json.loads((folder / LAUNCHED).read_text())["pid"]
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "its exit status was taken")
    assert not runner.is_alive(folder)


def test_an_agent_that_cannot_be_started_is_an_outcome(home: Path, folder: Path) -> None:
    runner = make_runner(home, agent=("/nonexistent/agent",))
    runner.launch(folder, sample_plan("true"))
    outcome = contract.read_outcome(folder)
    assert outcome is not None
    assert outcome.status == "Failed"
    assert "/nonexistent/agent" in str(outcome.reason)
    assert not runner.is_alive(folder)


def test_a_reused_pid_is_not_the_agent(home: Path, folder: Path) -> None:
    runner = make_runner(home)
    folder.mkdir(parents=True)
    me = Identity.of(os.getpid())
    assert me is not None
    for other in (replace(me, started=me.started - 1), replace(me, boot="another")):
        contract.write_document(folder / contract.AGENT, asdict(other))
        assert not runner.is_alive(folder)
        runner.stop(folder)
        runner.clear(folder)
    contract.write_document(folder / contract.AGENT, asdict(me))
    assert runner.is_alive(folder)
    (folder / contract.AGENT).unlink()


def test_an_agent_without_handlers_is_not_signalled(home: Path, folder: Path) -> None:
    """Before it has written agent.json SIGTERM would kill it where it has no outcome to leave."""
    runner = make_runner(home, agent=agent_script("time.sleep(600)"))
    runner.launch(folder, sample_plan("true"))
    runner.stop(folder)
    assert (folder / contract.STOP).exists()
    time.sleep(0.2)
    assert runner.is_alive(folder)


def test_the_agent_is_cut_off_from_the_server(home: Path, folder: Path, tmp_path: Path) -> None:
    """No terminal, no open file, no signal of the group, no secret; what it says itself goes to agent.log."""
    lines = (
        "print(os.getsid(0) == os.getpid(), os.readlink('/proc/self/fd/0'), os.getcwd())",
        "print([fd for fd in os.listdir('/proc/self/fd') if int(fd) > 2 and os.path.exists(f'/proc/self/fd/{fd}')])",
        "print('AWS_SECRET_ACCESS_KEY' in os.environ, os.environ['CLARY_JOB'])",
        "print('oops', file=sys.stderr)",
    )
    environment = {**os.environ, "AWS_SECRET_ACCESS_KEY": "secret"}
    runner = LocalRunner(Sandbox(home, isolation="none"), agent=agent_script(*lines), environment=environment)
    with open(tmp_path / "open", "w") as file:
        os.set_inheritable(file.fileno(), True)
        runner.launch(folder, sample_plan("true"))
    eventually(lambda: not runner.is_alive(folder), "the agent has ended")
    log = (folder / "agent.log").read_text()
    assert sorted(log.splitlines()) == sorted(["True /dev/null /", "[]", f"False {folder.name}", "oops"])


def test_only_harmless_variables_are_passed_on() -> None:
    given = {
        "PATH": "/bin",
        "HF_HOME": "/hf",
        "LC_ALL": "C",
        "HF_TOKEN": "secret",
        "UV_PUBLISH_PASSWORD": "secret",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "CLARY_DATABASE_URL": "postgresql://me:secret@host",
        "PYTHONPATH": "/elsewhere",
    }
    assert agent_environment(given) == {"PATH": "/bin", "HF_HOME": "/hf", "LC_ALL": "C"}


def test_the_agents_interpreter_finds_the_package_whatever_surrounds_it(tmp_path: Path) -> None:
    (tmp_path / "clary.py").write_text("raise SystemExit('the wrong clary')")
    *start, program = agent_command()
    program = program.replace(
        "from clary.agent.main import main; sys.exit(main(sys.argv[1:]))", "import clary.agent"
    )
    assert program.endswith("import clary.agent")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([*start, program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


SERVER = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["CLARY_MODEL_DIR"].encode())
    do_POST = do_GET
HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


@pytest.mark.parametrize("isolation", ["none", "auto"])
def test_an_instance_serves_whoever_watches(home: Path, folder: Path, isolation: str, tmp_path: Path) -> None:
    """Its program lies in a place that jobs do not see but for it; a runner that comes later finds its address."""
    program = tmp_path / "serve.py"
    program.write_text(SERVER)
    model = Model("image", serve=["python", str(program)])
    plan = replace(sample_plan(python=sys.executable), work="serving", model=model)
    make_runner(home, isolation=isolation, agent=()).launch(folder, plan)
    eventually((folder / contract.SERVING).exists, "the instance says where it is")
    later = make_runner(home, isolation=isolation, agent=())
    assert later.is_alive(folder)
    address = json.loads((folder / contract.SERVING).read_text())["address"]
    with urllib.request.urlopen(f"http://{address}/invocations", data=b"x", timeout=20) as answer:
        seen = answer.read().decode()
    confined = contract.read_plan(folder).isolation == "bubblewrap"
    assert seen == ("/opt/ml/model" if confined else str(folder / "ml/model"))
    later.stop(folder)
    eventually(lambda: contract.read_outcome(folder) is not None, "an outcome")
    outcome = contract.read_outcome(folder)
    assert outcome and outcome.status == "Stopped"
