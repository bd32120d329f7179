"""Instances of endpoints: a real agent process, a real program that serves HTTP, S3 in a thread."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from clary.agent.contract import SERVING, STOP, Model
from clary.agent.model_data import is_program

SERVE = """#!/usr/bin/env python
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, json.dumps({"way": "custom", "pid": os.getpid()}))
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        print("asked", body.decode(), flush=True)
        if body == b"exit":
            print("it is over", file=sys.stderr, flush=True)
            os._exit(3)
        if body == b"environ":
            self.answer(200, json.dumps(dict(os.environ, CWD=os.getcwd(), ARGV=" ".join(sys.argv))))
        else:
            self.answer(200, open(os.environ["SM_MODEL_DIR"] + "/" + body.decode()).read())
    def answer(self, status, text):
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args):
        pass

def stop(*_):
    print("asked to stop", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
print("listening", flush=True)
place = os.environ["SAGEMAKER_BIND_TO_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])
ThreadingHTTPServer(place, Handler).serve_forever()
"""
ARCHIVE = "s3://bucket/models/model.tar.gz"


def until(holds: Callable[[], Any], job: Any, timeout_s: float = 30) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := holds()):
        assert job.process.poll() is None, job.finish()
        assert time.monotonic() < deadline, job.log()
        time.sleep(0.02)
    return found


def address(job: Any) -> str:
    path = job.folder / SERVING
    until(path.exists, job)
    return str(json.loads(path.read_text())["address"])


def ask(job: Any, text: str) -> str:
    request = urllib.request.Request(f"http://{address(job)}/invocations", data=text.encode())
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(answer.read().decode())


def stop(job: Any) -> Any:
    (job.folder / STOP).touch()
    return job.finish()


def instance(job: Any, model: Model | None = None, **changes: Any) -> Any:
    model = model or Model("image", ARCHIVE, startup_timeout_s=30.0)
    return job.plan(**{"work": "serving", "model": model, "hyperparameters": {}, **changes})


def put_model(job: Any, files: Mapping[str, str | bytes], key: str = "models/model.tar.gz") -> None:
    job.s3.put_source(files, key)


def test_a_program_of_the_model_serves_until_it_is_stopped(any_job: Any) -> None:
    put_model(any_job, {"code/serve": SERVE, "weights": "heavy"})
    any_job.start(instance(any_job, environment={"A": "b", "EMPTY": "", "CLARY_JOB": "other"}))
    assert ask(any_job, "weights") == "heavy"
    found = json.loads((any_job.folder / SERVING).read_text())
    assert found["report"]["way"] == "custom" and found["address"].startswith("127.0.0.1:")
    seen = json.loads(ask(any_job, "environ"))
    ml = "/opt/ml" if any_job.sandbox else str(any_job.ml)
    assert seen["CWD"] == f"{ml}/model/code"
    assert (seen["CLARY_MODEL_DIR"], seen["SM_MODEL_DIR"]) == (f"{ml}/model", f"{ml}/model")
    assert (seen["A"], seen["CLARY_JOB"], seen["CLARY_IMAGE"]) == ("b", any_job.folder.name, "image")
    assert (seen["SAGEMAKER_REGION"], seen["AWS_ENDPOINT_URL"]) == ("us-east-1", any_job.s3.endpoint)
    assert seen["AWS_ACCESS_KEY_ID"] == "AKIDEXAMPLE"
    assert not [name for name, value in seen.items() if name in ("EMPTY", "CLARY_MODELS_URL")]
    assert any_job.story() == ["Downloading", "Loading", "InService"]
    outcome = stop(any_job)
    assert (outcome.status, outcome.reason, outcome.artifacts) == ("Stopped", None, None)
    assert any_job.story() == ["Downloading", "Loading", "InService"]
    assert [line for line in any_job.log() if not line.startswith("{")] == [
        "listening",
        "asked weights",
        "asked environ",
        "asked to stop",
    ]
    assert any_job.documents("usage.jsonl")[-1]["host"] == "algo-1"
    assert any_job.leftovers() == []


def failed(job: Any, plan: Any) -> str:
    """The reason, of an instance that does not come into service."""
    outcome = job.run(plan)
    assert (outcome.status, outcome.secondary) == ("Failed", "Failed"), outcome
    assert not (job.folder / SERVING).exists() and "InService" not in job.story()
    assert job.leftovers() == []
    return str(outcome.reason)


def test_a_program_that_the_table_of_images_names(any_job: Any) -> None:
    put_model(any_job, {"weights": "heavy"})
    program = any_job.folder.parent / "elsewhere.py"
    program.write_text(SERVE)
    if any_job.sandbox:
        any_job.sandbox = [*any_job.sandbox, "--ro-bind", str(program), str(program)]
    words = ("python", str(program), "--port={port}", "--model", "{model_dir}", "/opt/ml/model", "/opt/mlx")
    any_job.start(instance(any_job, Model("mine:1", ARCHIVE, serve=words)))
    seen = json.loads(ask(any_job, "environ"))
    ml = "/opt/ml" if any_job.sandbox else str(any_job.ml)
    assert (
        seen["ARGV"]
        == f"{program} --port={seen['SAGEMAKER_BIND_TO_PORT']} --model {ml}/model {ml}/model /opt/mlx"
    )
    assert seen["CWD"] == f"{ml}/model"
    assert address(any_job) == f"127.0.0.1:{seen['SAGEMAKER_BIND_TO_PORT']}"
    assert stop(any_job).status == "Stopped"


def test_a_model_that_is_not_packed(job: Any) -> None:
    job.s3.bucket.update({"tree/code/serve": SERVE.encode(), "tree/deep/weights": b"heavy"})
    model = Model("image", "s3://bucket/tree/", data_type="S3Prefix", compression="None")
    job.start(instance(job, model))
    assert ask(job, "deep/weights") == "heavy"
    stop(job)


def test_a_model_that_is_one_object(job: Any, tmp_path: Path) -> None:
    job.s3.bucket["tree/model.bin"] = b"all of it"
    (tmp_path / "serve.py").write_text(SERVE)
    model = Model(
        "image",
        "s3://bucket/tree/model.bin",
        compression="None",
        serve=["python", str(tmp_path / "serve.py")],
    )
    job.start(instance(job, model))
    assert ask(job, "model.bin") == "all of it"
    stop(job)


@pytest.mark.parametrize("mode", ["SingleModel", "MultiModel"])
def test_models_that_the_program_fetches_itself(job: Any, tmp_path: Path, mode: str) -> None:
    (tmp_path / "serve.py").write_text(SERVE)
    url = "s3://bucket/models/" if mode == "MultiModel" else ""
    model = Model("image", url, mode=mode, serve=["python", str(tmp_path / "serve.py")])  # type: ignore[arg-type]
    job.start(instance(job, model, environment={"HF_MODEL_ID": "a/b"}))
    seen = json.loads(ask(job, "environ"))
    assert seen["HF_MODEL_ID"] == "a/b"
    assert (seen.get("CLARY_MODELS_URL"), seen.get("SAGEMAKER_MULTI_MODEL")) == (
        (url, "true") if url else (None, None)
    )
    assert job.story() == ["Loading", "InService"] and job.s3.requests == []
    assert list((job.ml / "model").iterdir()) == list((job.ml / "models").iterdir()) == []
    stop(job)


def test_a_program_that_cannot_be_started(job: Any) -> None:
    put_model(job, {"code/serve": "print('no first line')"})
    assert "code/serve of the model cannot be started: make it executable" in failed(job, instance(job))


@pytest.mark.parametrize(("target", "starts"), [("real", True), ("../../../../outside", False)])
def test_a_link_to_a_program(tmp_path: Path, target: str, starts: bool) -> None:
    code = tmp_path / "ml/model/code"
    code.mkdir(parents=True)
    for path in (code / "real", tmp_path / "outside"):
        path.write_text("#!/bin/sh")
    (code / "serve").symlink_to(target)
    assert is_program(code / "serve") == starts
    assert os.access(code / "real", os.X_OK) == starts and not os.access(tmp_path / "outside", os.X_OK)


def test_code_that_is_named_apart(any_job: Any) -> None:
    put_model(any_job, {"weights": "heavy"})
    put_model(any_job, {"serve": SERVE, "inference.py": ""}, "code/sourcedir.tar.gz")
    given = {"SAGEMAKER_SUBMIT_DIRECTORY": "s3://bucket/code/sourcedir.tar.gz"}
    any_job.start(instance(any_job, environment=given))
    ml = "/opt/ml" if any_job.sandbox else str(any_job.ml)
    assert json.loads(ask(any_job, "environ"))["SAGEMAKER_SUBMIT_DIRECTORY"] == f"{ml}/code"
    stop(any_job)


def test_paths_of_the_environment_lead_to_the_jobs_own_folder(any_job: Any) -> None:
    put_model(any_job, {"code/serve": SERVE})
    given = {"SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code", "HF_MODEL_ID": "/opt/ml/model"}
    any_job.start(
        instance(any_job, environment={**given, "SAGEMAKER_BIND_TO_PORT": "80", "OMP_NUM_THREADS": "3"})
    )
    seen = json.loads(ask(any_job, "environ"))
    ml = "/opt/ml" if any_job.sandbox else str(any_job.ml)
    assert seen["SAGEMAKER_SUBMIT_DIRECTORY"] == f"{ml}/model/code" and seen["HF_MODEL_ID"] == f"{ml}/model"
    assert seen["SAGEMAKER_BIND_TO_PORT"] == address(any_job).rpartition(":")[2]
    assert seen["OMP_NUM_THREADS"] == "3"
    stop(any_job)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket/models/none.tar.gz", "ClientError: GET s3://bucket/models/none.tar.gz was refused"),
        ("s3://nowhere/model.tar.gz", "GET s3://nowhere/model.tar.gz was refused: there is no such bucket"),
        ("s3://bucket", "s3://bucket/ names a bucket"),
        ("https://else/where.tar.gz", "'https://else/where.tar.gz' is not an S3 location"),
        ("s3://bucket/text", "s3://bucket/text cannot be unpacked as a tar archive"),
        ("s3://bucket/escape", "s3://bucket/escape holds an entry that is not safe to unpack"),
    ],
)
def test_a_model_that_cannot_be_had(job: Any, url: str, message: str) -> None:
    job.s3.bucket["text"] = b"no archive"
    put_model(job, {"../../escape": "x"}, "escape")
    assert message in failed(job, instance(job, Model("image", url)))
    assert not (job.folder / "escape").exists() and not (job.folder / "model.tar.gz").exists()


@pytest.mark.parametrize(
    ("url", "data_type", "message"),
    [
        ("s3://bucket/none/", "S3Prefix", 'No S3 objects found under S3 URL "s3://bucket/none/"'),
        ("s3://bucket/tree/", "S3Object", "s3://bucket/tree/ names no object"),
        ("s3://bucket/tree/x", "S3Object", "GET s3://bucket/tree/x was refused: there is no such object"),
    ],
)
def test_objects_that_cannot_be_had(job: Any, url: str, data_type: Any, message: str) -> None:
    job.s3.bucket["tree/a"] = b"1"
    assert message in failed(job, instance(job, Model("image", url, data_type, "None")))


def test_a_model_that_takes_too_long_to_bring(job: Any) -> None:
    job.s3.failures = [503] * 1000
    reason = failed(job, instance(job, Model("image", ARCHIVE, download_timeout_s=0.5)))
    assert f"{ARCHIVE} could not be brought within 0.5 s" in reason
    assert "ModelDataDownloadTimeoutInSeconds" in reason


def test_a_stop_while_the_model_is_brought(job: Any) -> None:
    job.s3.failures = [503] * 1000
    job.start(instance(job))
    until(lambda: job.s3.requests, job)
    assert stop(job).status == "Stopped"


def test_requirements_are_installed_before_the_program_starts(any_job: Any, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "clarytestthing")
    serve = SERVE.replace('print("listening"', 'import clarytestthing; print("value", clarytestthing.value')
    put_model(
        any_job,
        {"code/serve": serve, "code/requirements.txt": f"./{wheel.name}\n"}
        | {f"code/{wheel.name}": wheel.read_bytes()},
    )
    any_job.start(instance(any_job))
    address(any_job)
    log = any_job.log()
    assert log[-1] == "value 42" and any("Successfully installed clarytestthing-1.0" in line for line in log)
    assert list(any_job.folder.glob("env/lib/*/site-packages/clarytestthing.py"))
    stop(any_job)


def test_a_requirement_that_cannot_be_had_is_named_with_its_line(job: Any) -> None:
    text = "# what it needs\npip\nclary_no.such-thing == 9  # rare\n"
    put_model(job, {"code/serve": SERVE, "code/requirements.txt": text})
    reason = failed(job, instance(job, environment={"PIP_NO_INDEX": "1"}))
    assert reason.startswith("AlgorithmError: InstallRequirementsError:\nExitCode 1\n")
    assert "No matching distribution found for clary_no.such-thing==9" in reason
    assert "requirements.txt, line 3: clary_no.such-thing == 9  # rare" in reason
    assert any("No matching distribution found" in line for line in job.log())


def test_a_requirement_that_takes_too_long(job: Any) -> None:
    put_model(job, {"code/serve": SERVE, "code/requirements.txt": "clary-no-such-thing\n"})
    reason = failed(
        job,
        instance(
            job,
            Model("image", ARCHIVE, startup_timeout_s=1.0),
            environment={"PIP_INDEX_URL": job.s3.endpoint, "PIP_RETRIES": "30"},
        ),
    )
    assert "packages of code/requirements.txt were not installed within 1 s" in reason


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import time; time.sleep(60)", ["nothing listens there (the port is in SAGEMAKER_BIND_TO_PORT)."]),
        (
            SERVE.replace("self.answer(200, json.dumps({", "self.answer(503, json.dumps({"),
            ["the last answer had status 503", "listening"],
        ),
    ],
)
def test_a_program_that_does_not_become_ready(job: Any, program: str, words: list[str]) -> None:
    put_model(job, {"code/serve": f"#!/usr/bin/env python\n{program}"})
    reason = failed(job, instance(job, Model("image", ARCHIVE, startup_timeout_s=1.0), grace_s=0.5))
    for word in ("did not pass the ping health check", "within 1 s", *words):
        assert word in reason


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            "def load():\n    raise ValueError('no weights')\nload()",
            ["ValueError: no weights", "exit code: 1"],
        ),
        ("print('bye')", ["ended by itself (exit code 0)", "until it gets SIGTERM", "bye"]),
        ("import os; os.kill(os.getpid(), 9)", ["OutOfMemory", "exit code: 137"]),
    ],
)
def test_a_program_that_ends_before_it_is_ready(any_job: Any, program: str, words: list[str]) -> None:
    put_model(any_job, {"code/serve": f"#!/usr/bin/env python\n{program}"})
    reason = failed(any_job, instance(any_job))
    assert reason.startswith("AlgorithmError: ")
    for word in words:
        assert word in reason


def test_a_program_that_ends_in_service(any_job: Any) -> None:
    put_model(any_job, {"code/serve": SERVE})
    any_job.start(instance(any_job))
    with pytest.raises(OSError):
        ask(any_job, "exit")
    outcome = any_job.finish()
    assert (outcome.status, outcome.exit_code) == ("Failed", 3)
    assert "it is over" in outcome.reason and any_job.story()[-1] == "InService"


def test_a_program_that_ignores_its_end_is_killed(job: Any) -> None:
    put_model(job, {"code/serve": SERVE.replace("os._exit(0)", "pass")})
    job.start(instance(job, grace_s=0.5))
    address(job)
    outcome = stop(job)
    assert (outcome.status, outcome.exit_code) == ("Stopped", 137)
    assert job.leftovers() == []


def test_an_instance_whose_folder_is_gone_ends(any_job: Any) -> None:
    put_model(any_job, {"code/serve": SERVE, "weights": "heavy"})
    any_job.start(instance(any_job))
    host, _, port = address(any_job).partition(":")
    shutil.rmtree(any_job.folder)
    any_job.process.wait(30)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 5)


def make_wheel(folder: Path, name: str) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "value = 42\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


USERS = """
import json, os, sys

def model_fn(model_dir):
    print("loading", model_dir, flush=True)
    with open(model_dir + "/weights") as file:
        return file.read()

def transform_fn(model, data, content_type, accept):
    return json.dumps([model, json.loads(data), os.environ["OMP_NUM_THREADS"]]), "application/json"
"""


def test_clarys_own_server_serves_what_brings_no_program(any_job: Any) -> None:
    put_model(any_job, {"code/inference.py": USERS, "weights": "heavy"})
    any_job.start(instance(any_job, environment={"SAGEMAKER_PROGRAM": "", "SAGEMAKER_REGION": "r"}))
    request = urllib.request.Request(
        f"http://{address(any_job)}/invocations", b"[1, 2]", {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.loads(answer.read()) == ["heavy", [1, 2], "1"]
    ml = "/opt/ml" if any_job.sandbox else str(any_job.ml)
    assert f"loading {ml}/model" in any_job.log()
    assert json.loads((any_job.folder / SERVING).read_text())["report"]
    outcome = stop(any_job)
    assert (outcome.status, outcome.exit_code) == ("Stopped", 0)
    assert any_job.leftovers() == []


def test_a_model_that_clarys_server_cannot_load(any_job: Any) -> None:
    put_model(any_job, {"code/inference.py": USERS})
    reason = failed(any_job, instance(any_job))
    assert "FileNotFoundError: [Errno 2] No such file or directory" in reason
    assert "with open(model_dir" in reason and 'Command "clary-model-server"' in reason


def test_a_folder_that_holds_no_model_is_said_in_a_sentence(job: Any) -> None:
    put_model(job, {"readme": "nothing here"})
    reason = failed(job, instance(job))
    assert 'ErrorMessage "clary: the model cannot be served: ' in reason and "Traceback" not in reason


def test_nothing_of_the_models_folder_stands_for_a_module(job: Any) -> None:
    put_model(
        job, {"code/inference.py": USERS, "weights": "heavy", "json.py": "1/0", "clary/__init__.py": "1/0"}
    )
    job.start(instance(job))
    address(job)
    stop(job)
