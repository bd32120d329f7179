"""`clary serve`, `up`, `down` and `status` as a person uses them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def clary(tmp_path: Path) -> Iterator[Run]:
    """Runs the command; whatever it left running in homes below tmp_path is stopped at the end."""

    def run(*words: str, home: str = "home", **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CLARY_"))}
        command = [sys.executable, "-m", "clary.cli.main", *words]
        variables = {**kept, "CLARY_HOME": str(tmp_path / home), **environment}
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)

    yield run
    for home in tmp_path.iterdir():
        run("down", home=home.name)


def test_the_next_words_name_a_home_that_is_not_the_usual(clary: Run, tmp_path: Path) -> None:
    other = str(tmp_path / "an other")
    said = clary("up", "--port", "0", "--home", other).stdout
    assert f"clary run --home '{other}' -- python" in said and f"$(clary env --home '{other}')" in said


def test_up_status_down(clary: Run, tmp_path: Path) -> None:
    assert clary("status").returncode == 3
    started = clary("up", "--port", "0")
    assert started.returncode == 0, started.stderr
    assert 'next: eval "$(clary env)"' in started.stdout
    endpoint = re.search(r"http://127\.0\.0\.1:\d+", started.stdout)
    assert endpoint is not None
    said = clary("status", "--json")
    assert (said.returncode, json.loads(said.stdout)["endpoint"]) == (0, endpoint.group())
    assert "already up" in clary("up", "--port", "0").stdout
    assert clary("down").stdout == "down\n"
    assert clary("status").returncode == 3
    assert "no server runs" in clary("down").stdout


def test_everything_in_the_home_is_private(clary: Run, tmp_path: Path) -> None:
    clary("up", "--port", "0")
    paths = [tmp_path / "home", *(tmp_path / "home").rglob("*")]
    assert [str(path) for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_two_homes_live_side_by_side(clary: Run) -> None:
    for home in ("one", "two"):
        assert clary("up", "--port", "0", home=home).returncode == 0
    one, two = (json.loads(clary("status", "--json", home=home).stdout) for home in ("one", "two"))
    assert one["endpoint"] != two["endpoint"]
    assert one["pid"] != two["pid"]


def test_a_second_server_in_a_home_is_refused(clary: Run) -> None:
    clary("up", "--port", "0")
    second = clary("serve", "--port", "0")
    assert second.returncode == 1
    assert "a server already runs in" in second.stderr


def test_a_port_that_is_taken_is_told(clary: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = clary("up", "--port", str(port))
    assert refused.returncode == 1
    assert f"port {port}: Address already in use; give another" in refused.stderr


def test_a_spoiled_connection_is_written_anew(clary: Run, tmp_path: Path) -> None:
    clary("up", "--port", "0")
    clary("down")
    (tmp_path / "home" / "connection.json").write_text("spoiled")
    assert "no server runs in" in clary("status").stdout
    assert clary("up", "--port", "0").returncode == 0
    assert json.loads(clary("status", "--json").stdout)["up"]


@pytest.mark.parametrize("place", ["/proc/clary", "/dev/null", "/dev/null/clary"])
def test_a_home_that_cannot_be_is_told(clary: Run, place: str) -> None:
    for command in ("up", "serve"):
        refused = clary(command, "--home", place)
        assert refused.returncode == 1
        assert place in refused.stderr and "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CLARY_PORT", "many", "CLARY_PORT='many': say a number"),
        ("CLARY_TLS", "perhaps", "CLARY_TLS='perhaps': say true or false"),
        ("CLARY_ISOLATION", "prison", "CLARY_ISOLATION='prison'"),
        ("CLARY_DATABASE_URL", "nonsense", "database URL not understood"),
        ("CLARY_PYTHON", "/no/such", "CLARY_PYTHON='/no/such': there is no such program"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(clary: Run, name: str, value: str, words: str) -> None:
    refused = clary("serve", **{"CLARY_PORT": "0", name: value})
    assert refused.returncode == 1
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


def test_ctrl_c_ends_a_server_in_the_foreground(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "clary.cli.main",
        "serve",
        "--home",
        str(tmp_path / "home"),
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "Clary serves" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors == ""


def test_down_leaves_a_closed_database_and_ends_in_good_order(clary: Run, tmp_path: Path) -> None:
    clary("up", "--port", "0")
    assert clary("down").returncode == 0
    assert not (tmp_path / "home" / "clary.db-wal").exists()


def test_down_ends_the_server_that_runs_and_no_other_process(clary: Run, tmp_path: Path) -> None:
    clary("up", "--port", "0")
    with subprocess.Popen(["sleep", "60"]) as bystander:
        path = tmp_path / "home" / "connection.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "pid": bystander.pid}))
        assert clary("down").stdout == "down\n"
        assert bystander.poll() is None
        bystander.kill()


def test_up_needs_no_proxy(clary: Run) -> None:
    proxy = "http://127.0.0.1:9"
    started = clary("up", "--port", "0", HTTP_PROXY=proxy, http_proxy=proxy, NO_PROXY="", no_proxy="")
    assert started.returncode == 0, started.stderr


def test_two_that_start_a_server_at_once_both_find_it_up(clary: Run) -> None:
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: clary("up", "--port", "0"), range(2)))
    assert [said.returncode for said in both] == [0, 0], [said.stderr for said in both]
    endpoints = {re.search(r"http://127\.0\.0\.1:\d+", said.stdout)[0] for said in both}  # type: ignore[index]
    assert len(endpoints) == 1


def test_the_databases_password_is_on_no_command_line(clary: Run, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    url = f"sqlite:///{tmp_path / 'home' / 'secret.db'}"
    assert clary("up", "--port", "0", "--database-url", url).returncode == 0
    pid = json.loads(clary("status", "--json").stdout)["pid"]
    assert "secret" not in Path(f"/proc/{pid}/cmdline").read_text()
    assert (tmp_path / "home" / "secret.db").exists()


def test_a_head_without_end_is_cut_off(clary: Run) -> None:
    clary("up", "--port", "0")
    port = int(json.loads(clary("status", "--json").stdout)["endpoint"].rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ")
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                connection.sendall(b"x" * 65536)


def test_help_names_every_command(clary: Run) -> None:
    said = clary("--help").stdout
    for command in ("serve", "up", "down", "status", "env", "run", "demo"):
        assert f"  {command} " in said
