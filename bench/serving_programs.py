"""The servers that `serving.py` compares: how each is started, what it costs, and how it is ended."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "src"
PEERS = Path(__file__).parent / "peers"
MARK = "CLARY_BENCH_RUN"  # in the environment of a server's processes, whatever they fork
TOOLKIT = "sagemaker_huggingface_inference_toolkit.handler_service"
CLARY = "import sys; sys.path.append(sys.argv[1]); from clary.serving.main import main; main()"
VENVS = {
    "mms": [
        "multi-model-server==1.1.11",
        "sagemaker-huggingface-inference-toolkit==2.6.0",
        "transformers==4.57.6",
        "numpy<2",
        "setuptools<81",
        "torch==2.13.0",
    ],
    "modern": ["litserve==0.2.19", "ray[serve]==2.60.0", "transformers==5.23.0", "torch==2.13.0"],
}


@dataclass(frozen=True)
class Program:
    """command, environment and files (name: content) of a server; PORT, MODEL and HERE are filled in."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[str, str]


def set_up(folder: Path) -> None:
    """Environments of the peers; needs Java for the original stack (Debian: default-jre-headless)."""
    for name, packages in VENVS.items():
        if not (folder / name / "bin" / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
        subprocess.run([str(folder / name / "bin" / "pip"), "install", "-q", *packages], check=True)


def programs(peers: Path | None, workers: int) -> dict[str, Program]:
    """By their names, ours first."""
    found = {f"clary {form}": clary(form, workers) for form in ("fp32", "bf16", "int8")}
    if peers is not None:
        found |= {
            "mms": mms(peers / "mms", workers),
            "litserve": script(peers / "modern", "litserve", 1),
            "litserve 32": script(peers / "modern", "litserve", 32),
            "ray 32": script(peers / "modern", "ray", 32),
        }
    return found


def clary(form: str, workers: int) -> Program:
    environment = {
        "SAGEMAKER_BIND_TO_PORT": "PORT",
        "SAGEMAKER_BIND_TO_HOST": "127.0.0.1",
        "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers),
        "OMP_NUM_THREADS": "1",
        "CLARY_MODEL_DIR": "MODEL",
        "CLARY_PRECISION": form,
        "HF_TASK": "text-classification",
        "HF_HUB_OFFLINE": "1",
    }
    if form == "int8":
        environment["CLARY_CALIBRATION"] = "calibration.jsonl"
    return Program(f"clary {form}", (sys.executable, "-c", CLARY, str(SOURCES)), environment, {})


def mms(venv: Path, workers: int) -> Program:
    """The original stack as its own start script sets it up, but on loopback and without files outside its folder."""
    settings = {
        "enable_envvars_config": "true",
        "decode_input_request": "false",
        "load_models": "ALL",
        "default_service_handler": TOOLKIT,
        "default_workers_per_model": str(workers),
        "default_response_timeout": "60",
        "inference_address": "http://127.0.0.1:PORT",
        "management_address": "http://127.0.0.1:PORT",
    }
    logging = next(venv.glob("lib/python*/site-packages/sagemaker_inference/etc/log4j2.xml"), Path("missing"))
    command = ("--start", "--foreground", "--model-store", "/", "--mms-config", "HERE/mms.properties")
    return Program(
        "mms",
        (
            str(venv / "bin" / "multi-model-server"),
            *command,
            "--log-config",
            str(logging),
            "--models",
            "model=MODEL",
        ),
        {
            "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
            "HF_TASK": "text-classification",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "LOG_LOCATION": "HERE",
            "METRICS_LOCATION": "HERE",
        },
        {"mms.properties": "".join(f"{name}={value}\n" for name, value in settings.items())},
    )


def script(venv: Path, name: str, batch: int) -> Program:
    named = name if batch == 1 else f"{name} {batch}"
    command = (str(venv / "bin" / "python"), str(PEERS / f"{name}_peer.py"), "MODEL", "PORT", str(batch))
    environment = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    return Program(named, command, environment | {"PYTHONWARNINGS": "ignore"}, {})


class Running:
    """A started server. `cold_s`: from its start to its first answer."""

    def __init__(
        self, program: Program, model: Path, folder: Path, body: bytes, *, most_s: float = 120
    ) -> None:
        """`body` is what is asked first. Raises RuntimeError with the end of what it printed."""
        self.port, self._mark = free_port(), uuid.uuid4().hex
        folder.mkdir(parents=True, exist_ok=True)
        filled = {"PORT": str(self.port), "MODEL": str(model), "HERE": str(folder)}
        for name, content in program.files.items():
            (folder / name).write_text(fill(content, filled), "utf-8")
        environment = {name: fill(value, filled) for name, value in program.environment.items()}
        plain = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "JAVA_HOME") if name in os.environ
        }
        self._printed = folder / "printed"
        begun = time.perf_counter()
        with self._printed.open("wb") as printed:
            self._process = subprocess.Popen(
                [fill(part, filled) for part in program.command],
                env=plain | {"TMPDIR": str(folder)} | environment | {MARK: self._mark},
                cwd=folder,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait(program.name, body, begun + most_s)
        except BaseException:
            self.end()
            raise
        self.cold_s = time.perf_counter() - begun

    def _wait(self, name: str, body: bytes, until: float) -> None:
        while not self._answers(body):
            if self._process.poll() is not None or time.perf_counter() > until:
                tail = self._printed.read_text("utf-8", "replace")[-2000:]
                raise RuntimeError(f"{name} does not answer:\n{tail}")
            time.sleep(0.02)

    def _answers(self, body: bytes) -> bool:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/invocations",
            data=body,
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return bool(answer.status == 200)
        except OSError:  # not there yet, or not ready
            return False

    def processes(self) -> list[int]:
        """Of whatever it started, wherever that moved to."""
        wanted = f"{MARK}={self._mark}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def memory_mb(self) -> float:
        """PSS: what is shared counts once."""
        total = 0
        for pid in self.processes():
            with suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 1024

    def end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            until = time.perf_counter() + 5
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            while self.processes() and time.perf_counter() < until:
                self._process.poll()
                time.sleep(0.05)
        self._process.wait()


def fill(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def free_port() -> int:
    """Below 32,768: the original stack takes no others."""
    while True:
        port = secrets.randbelow(10_000) + 20_000
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
