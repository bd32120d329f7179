"""Instances of endpoints: a real agent process, a real program that serves HTTP, S3 in a thread."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from clary.agent.contract import SERVING, STOP, Model

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


def put_model(job: Any, files: dict[str, str], key: str = "models/model.tar.gz") -> None:
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
