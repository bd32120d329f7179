"""A small S3 in a thread, and job folders with an agent in them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

import clary
from clary.agent.contract import OUTCOME, Access, Outcome, Plan, read_outcome, write_plan
from clary.agent.s3 import S3

AGENT = [sys.executable, "-I", "-S", "-X", "utf8", "-c"]
START = "import sys; sys.path.insert(0, {root!r}); from clary.agent.main import main; sys.exit(main(sys.argv[1:]))"
ROOT = str(Path(__file__).parents[3] / "src")


@dataclass
class FakeS3:
    """`objects` by bucket and key. `failures` come first: statuses, or "drop", "cut", "forget" for broken ones."""

    objects: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"bucket": {}})
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    failures: list[Any] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    page: int = 1000
    slow: threading.Event | None = None
    endpoint: str = ""
    handler: Any = None

    @property
    def bucket(self) -> dict[str, bytes]:
        return self.objects["bucket"]

    def access(self) -> Access:
        return Access(self.endpoint, "us-east-1", "AKIDEXAMPLE", "SECRETEXAMPLE")

    def put_source(self, files: Mapping[str, str | bytes], key: str = "code/sourcedir.tar.gz") -> str:
        self.bucket[key] = make_tar(files)
        return f"s3://bucket/{key}"

    def archive(self, key: str) -> dict[str, bytes]:
        """The files of an archive that was uploaded."""
        with tarfile.open(fileobj=io.BytesIO(self.bucket[key])) as tar:
            return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}  # type: ignore[union-attr]


def make_tar(files: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: FakeS3

    def log_message(self, *args: Any) -> None:
        pass

    def answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        self.store.requests.append((self.command, self.path))
        assert "Signature=" in self.headers["authorization"]
        failure = self.store.failures.pop(0) if self.store.failures else None
        if failure == "drop":
            self.close_connection = True
            return
        if isinstance(failure, int):
            self.reply(failure, b"<Error><Code>Trouble</Code><Message>made up</Message></Error>")
            return
        address = urlsplit(self.path)
        bucket, _, key = unquote(address.path).removeprefix("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        if bucket not in self.store.objects:
            self.reply(404, b"<Error><Code>NoSuchBucket</Code><Message>no</Message></Error>")
            return
        getattr(self, f"do_{self.command.lower()}")(self.store.objects[bucket], key, query, body, failure)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815 - the names http.server looks for

    def do_get(
        self, objects: dict[str, bytes], key: str, query: dict[str, str], body: bytes, failure: Any
    ) -> None:
        if "list-type" in query:
            self.reply(200, self.listing(objects, query))
        elif key not in objects:
            self.reply(404, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>")
        else:
            data, status = objects[key], 200
            if wanted := self.headers.get("range"):
                data, status = data[int(wanted.removeprefix("bytes=").rstrip("-")) :], 206
            if self.store.slow:
                self.store.slow.wait(30)
            self.reply(status, data, etag='"tag"', cut=failure == "cut")

    def listing(self, objects: dict[str, bytes], query: dict[str, str]) -> bytes:
        keys = sorted(key for key in objects if key.startswith(query["prefix"]))
        start = int(query.get("continuation-token", "0"))
        shown, more = keys[start : start + self.store.page], start + self.store.page < len(keys)
        items = "".join(
            f"<Contents><Key>{escape(quote(key))}</Key><Size>{len(objects[key])}</Size></Contents>"
            for key in shown
        )
        token = f"<NextContinuationToken>{start + self.store.page}</NextContinuationToken>" if more else ""
        return f"<R><IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</R>".encode()

    def do_head(
        self, objects: dict[str, bytes], key: str, query: dict[str, str], body: bytes, failure: Any
    ) -> None:
        self.reply(200 if key in objects else 404, b"")

    def do_put(
        self, objects: dict[str, bytes], key: str, query: dict[str, str], body: bytes, failure: Any
    ) -> None:
        if "uploadId" in query:
            self.store.uploads[query["uploadId"]][int(query["partNumber"])] = body
        else:
            objects[key] = body
        self.reply(200, b"", etag='"tag"')

    def do_post(
        self, objects: dict[str, bytes], key: str, query: dict[str, str], body: bytes, failure: Any
    ) -> None:
        if "uploads" in query:
            name = f"upload-{len(self.store.uploads)}"
            self.store.uploads[name] = {}
            self.reply(200, f"<R><UploadId>{name}</UploadId></R>".encode())
        elif query["uploadId"] not in self.store.uploads:
            self.reply(404, b"<Error><Code>NoSuchUpload</Code></Error>")
        else:
            parts = self.store.uploads.pop(query["uploadId"])
            objects[key] = b"".join(parts[number] for number in sorted(parts))
            if failure == "forget":
                self.close_connection = True
            else:
                self.reply(200, b"<R/>")

    def do_delete(
        self, objects: dict[str, bytes], key: str, query: dict[str, str], body: bytes, failure: Any
    ) -> None:
        if "uploadId" in query:
            self.store.uploads.pop(query["uploadId"], None)
        else:
            objects.pop(key, None)
        self.reply(204, b"")

    def reply(self, status: int, body: bytes, *, etag: str = "", cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        if etag:
            self.send_header("etag", etag)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    store = FakeS3()
    store.handler = type("Bound", (Handler,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), store.handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    store.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield store
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(s3: FakeS3) -> Iterator[S3]:
    with S3(s3.access()) as client:
        yield client


@dataclass
class Job:
    """One job folder and, once started, its agent."""

    folder: Path
    s3: FakeS3
    sandbox: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def ml(self) -> Path:
        return self.folder / "ml"

    def plan(self, **changes: Any) -> Plan:
        settings: dict[str, Any] = {
            "job_name": "job",
            "job_arn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/job",
            "access": self.s3.access(),
            "python": sys.executable,
            "hyperparameters": {},
            "channels": [],
            "output_s3_uri": "s3://bucket/out",
            "grace_s": 5.0,
            "sandbox": self.sandbox,
            "isolation": "bubblewrap" if self.sandbox else "none: a test",
        }
        return Plan(**(settings | changes))

    def script(
        self, text: str, *, name: str = "train.py", files: Mapping[str, str] | None = None, **changes: Any
    ) -> Plan:
        """The plan of a v2 job whose source holds that program."""
        uri = self.s3.put_source({name: text, **(files or {})})
        given = {"sagemaker_program": json.dumps(name), "sagemaker_submit_directory": json.dumps(uri)}
        return self.plan(**{**changes, "hyperparameters": {**given, **changes.get("hyperparameters", {})}})

    def start(self, plan: Plan, environment: Mapping[str, str] | None = None) -> None:
        self.folder.mkdir(exist_ok=True)
        write_plan(self.folder, plan)
        self.process = self.spawn(environment)

    def spawn(self, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        with open(self.folder / "agent.log", "ab") as log:
            return subprocess.Popen(
                [*AGENT, START.format(root=ROOT), str(self.folder)],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def finish(self, timeout_s: float = 60) -> Outcome:
        assert self.process
        self.process.wait(timeout_s)
        outcome = read_outcome(self.folder)
        assert outcome, (self.folder / "agent.log").read_text()
        return outcome

    def run(self, plan: Plan, environment: Mapping[str, str] | None = None) -> Outcome:
        self.start(plan, environment)
        return self.finish()

    def log(self) -> list[str]:
        lines = (self.folder / "log/algo-1.log").read_bytes().split(b"\n")
        assert lines.pop() == b""
        return [line.partition(b"\t")[2].decode() for line in lines]

    def times(self) -> list[int]:
        return [
            int(line.partition(b"\t")[0])
            for line in (self.folder / "log/algo-1.log").read_bytes().splitlines()
        ]

    def documents(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def story(self) -> list[str]:
        return [event["status"] for event in self.documents("story.jsonl")]

    def wait_for(self, text: str, timeout_s: float = 30) -> None:
        deadline = time.monotonic() + timeout_s
        path = self.folder / "log/algo-1.log"
        while time.monotonic() < deadline:
            if path.exists() and text.encode() in path.read_bytes():
                return
            assert not (self.folder / OUTCOME).exists(), read_outcome(self.folder)
            time.sleep(0.02)
        raise AssertionError(f"{text!r} never came")

    def leftovers(self) -> list[int]:
        """Processes that carry the mark of this job."""
        mark = f"CLARY_JOB={self.folder.name}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def clear(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.leftovers():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def job(tmp_path: Path, s3: FakeS3) -> Iterator[Job]:
    job = Job(tmp_path / f"job-{os.getpid()}-{tmp_path.name}", s3)
    yield job
    job.clear()


def bubblewrap(folder: Path) -> list[str]:
    """A simple confinement: the machine as it is, with the job's own /opt."""
    tops = [path for path in sorted(Path("/").iterdir()) if path.name not in ("proc", "dev", "opt", "tmp")]
    command = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc"]
    for path in tops:
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            command += ["--bind", str(path), str(path)]
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for shown in (sys.prefix, sys.base_prefix, str(Path(clary.__file__).parent)):
        command += ["--ro-bind", shown, shown]  # it may lie in /tmp
    return [*command, "--bind", str(folder / "ml"), "/opt/ml", "--bind", str(folder / "env"), "/opt/env"]


@pytest.fixture
def confined_job(tmp_path: Path, s3: FakeS3) -> Iterator[Job]:
    probe = ["bwrap", "--ro-bind", "/", "/", "--unshare-pid", "true"]
    try:
        usable = subprocess.run(probe, capture_output=True).returncode == 0
    except FileNotFoundError:
        usable = False
    if not usable:
        pytest.skip("bubblewrap does not work here")
    folder = tmp_path / f"job-{os.getpid()}-{tmp_path.name}"
    for name in ("ml", "env"):
        (folder / name).mkdir(parents=True)
    job = Job(folder, s3, bubblewrap(folder))
    yield job
    job.clear()


@pytest.fixture(params=["confined", "plain"])
def any_job(request: pytest.FixtureRequest) -> Job:
    return request.getfixturevalue("confined_job" if request.param == "confined" else "job")
