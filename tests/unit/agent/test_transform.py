"""Batch transform in real agents: a program that serves HTTP, objects in an S3 of a thread."""

from __future__ import annotations

import gzip
import json
import os
import signal
import time
from typing import Any

import pytest

from clary.agent.contract import STOP, Model, Plan, Transform

ARCHIVE = "s3://bucket/models/model.tar.gz"
SERVE = r"""#!/usr/bin/env python
import json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

busy, most, lock = 0, 0, threading.Lock()

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/execution-parameters":
            wanted = os.environ.get("PARAMETERS")
            return self.answer(200 if wanted else 404, (wanted or "").encode())
        self.answer(200, b"{}")
    def do_POST(self):
        global busy, most
        body = self.rfile.read(int(self.headers["content-length"]))
        with lock:
            busy += 1
            if busy > most:
                most = busy
                print("at once", most, flush=True)
        try:
            self.act(body)
        finally:
            with lock:
                busy -= 1
    def act(self, body):
        time.sleep(float(os.environ.get("PAUSE", "0")))
        if b"bad" in body:
            return self.answer(400, json.dumps({"code": 400, "message": "no number: " + body.decode()[:80]}).encode())
        if b"die" in body:
            print("this is too much", file=sys.stderr, flush=True)
            os._exit(7)
        if b"slow" in body:
            print("slow", flush=True)
            time.sleep(600)
        if b"environ" in body:
            return self.answer(200, json.dumps(dict(os.environ)).encode())
        lines = body.decode().splitlines()
        self.answer(200, "\n".join(str(float(line.split(",")[0]) * 2) for line in lines).encode())
    def answer(self, status, data):
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *args):
        pass

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Server(ThreadingHTTPServer):
    request_queue_size = 100
Server((os.environ["SAGEMAKER_BIND_TO_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


def plan(job: Any, *, environment: dict[str, str] | None = None, changes: Any = None, **wanted: Any) -> Plan:
    job.s3.put_source({"code/serve": SERVE}, "models/model.tar.gz")
    transform = Transform(
        **{
            "input_s3_uri": "s3://bucket/in/",
            "output_s3_uri": "s3://bucket/out/",
            "split": "Line",
            "strategy": "SingleRecord",
            "assemble": "Line",
            "most_retries": 0,
            **wanted,
        }
    )
    made: Plan = job.plan(
        **{
            "work": "transform",
            "model": Model("image", ARCHIVE, startup_timeout_s=30.0),
            "transform": transform,
            "environment": environment or {},
            **(changes or {}),
        }
    )
    return made


def outputs(job: Any) -> dict[str, bytes]:
    return {key.removeprefix("out/"): body for key, body in job.s3.bucket.items() if key.startswith("out/")}


def doubled(numbers: range) -> bytes:
    return b"".join(b"%.1f\n" % (number * 2) for number in numbers)


def lines(numbers: range) -> bytes:
    return b"".join(b"%d\n" % number for number in numbers)


def test_every_object_gets_its_output_in_the_order_of_its_records(any_job: Any) -> None:
    any_job.s3.bucket.update(
        {
            "in/a.csv": lines(range(200)),
            "in/deep/b": lines(range(7)),
            "in/deep/": b"",
            "in/e": b"",
        }
    )
    outcome = any_job.run(plan(any_job, max_concurrent=8, environment={"PAUSE": "0.001"}))
    assert (outcome.status, outcome.reason) == ("Completed", None)
    assert outputs(any_job) == {
        "a.csv.out": doubled(range(200)),
        "deep/b.out": doubled(range(7)),
        "e.out": b"",
    }
    assert any_job.story() == ["Downloading", "Transforming", "Transforming"]
    told = [line for line in any_job.log() if line.startswith("clary: ")]
    assert told[0] == "clary: 3 objects to transform; 8 requests at a time, each one record of at most 6 MB"
    assert told[-1].startswith("clary: 3 of 3 objects transformed; 207 records in ")
    most = max(int(line.split()[-1]) for line in any_job.log() if line.startswith("at once"))
    assert 2 <= most <= 8
    assert any_job.times() == sorted(any_job.times())
    assert any_job.leftovers() == []
    assert not (any_job.folder / "transform").exists()


def test_records_go_together_as_many_as_fit(job: Any) -> None:
    job.s3.bucket["in/a"] = lines(range(1000, 9000)) * 40
    outcome = job.run(plan(job, strategy="MultiRecord", max_payload_mib=1))
    assert outcome.status == "Completed", outcome
    assert outputs(job) == {"a.out": doubled(range(1000, 9000)) * 40}


def test_the_container_says_how_many_at_a_time(job: Any) -> None:
    job.s3.bucket["in/a"] = lines(range(9))
    wanted = {"MaxConcurrentTransforms": 3, "MaxPayloadInMB": 2, "BatchStrategy": "MULTI_RECORD"}
    outcome = job.run(plan(job, environment={"PARAMETERS": json.dumps(wanted)}))
    assert outcome.status == "Completed"
    assert "clary: 1 object to transform; 3 requests at a time, each one record of at most 2 MB" in job.log()


def test_a_bad_record_is_named_and_does_not_sink_the_rest(job: Any) -> None:
    job.s3.bucket.update({f"in/{name}": lines(range(5)) for name in "abcdef"})
    job.s3.bucket["in/c"] = b"1\n2\nbad one\n4\n"
    outcome = job.run(plan(job, max_concurrent=3))
    assert outcome.status == "Failed"
    assert outcome.reason == (
        "ClientError: 1 of 6 objects could not be transformed. The outputs of the others are in s3://bucket/out. "
        "s3://bucket/in/c, record 3: the model answered 400: no number: bad one"
    )
    assert set(outputs(job)) == {f"{name}.out" for name in "abdef"}
    assert any("s3://bucket/in/c, record 3: the model answered 400" in line for line in job.log())


def test_of_many_records_in_a_request_the_bad_one_is_found(job: Any) -> None:
    job.s3.bucket["in/a"] = lines(range(100)) + b"bad one\n" + lines(range(55))
    outcome = job.run(plan(job, strategy="MultiRecord"))
    assert "s3://bucket/in/a, record 101: the model answered 400: no number: bad one" in outcome.reason
    assert outputs(job) == {}


def test_input_filter_join_and_output_filter(job: Any) -> None:
    job.s3.bucket["in/a.csv"] = b"id1,1\nid2,2\nid3,3\n"
    for strategy in ("SingleRecord", "MultiRecord"):
        outcome = job.run(
            plan(
                job,
                content_type="text/csv",
                strategy=strategy,
                input_filter="$[1:]",
                output_filter="$[0,-1]",
                join="Input",
            )
        )
        assert outcome.status == "Completed", outcome
        assert outputs(job) == {"a.csv.out": b"id1,2.0\nid2,4.0\nid3,6.0\n"}
        job.folder = job.folder.with_name(f"{job.folder.name}-again")


def test_compressed_objects_of_a_manifest(job: Any) -> None:
    job.s3.bucket.update(
        {
            "set/a.gz": gzip.compress(lines(range(50))),
            "set/b.gz": b"no gzip at all",
            "set/c.gz": gzip.compress(lines(range(5000)))[:-20],
            "list": json.dumps([{"prefix": "s3://bucket/set/"}, "a.gz", "b.gz", "c.gz", "gone.gz"]).encode(),
        }
    )
    outcome = job.run(
        plan(job, input_s3_uri="s3://bucket/list", s3_data_type="ManifestFile", compression="Gzip")
    )
    assert outputs(job) == {"a.gz.out": doubled(range(50))}
    assert "3 of 4 objects could not be transformed" in outcome.reason
    assert "s3://bucket/set/b.gz, it is not a whole gzip file" in outcome.reason
    log = "\n".join(job.log())
    assert "c.gz, it is not a whole gzip file" in log
    assert "gone.gz" in log and "NoSuchKey" in log


def test_hosts_share_the_objects(job: Any) -> None:
    job.s3.bucket.update({f"in/{number}": b"1\n" for number in range(5)})
    hosts = {"hosts": ["algo-1", "algo-2"], "host": "algo-1"}
    assert job.run(plan(job, changes=hosts)).status == "Completed"
    assert set(outputs(job)) == {"0.out", "2.out", "4.out"}


def test_the_server_is_told_what_it_is_for(job: Any) -> None:
    job.s3.bucket["in/a"] = b"environ"
    outcome = job.run(plan(job, max_concurrent=2, max_payload_mib=3, timeout_s=77, environment={"OWN": "1"}))
    assert outcome.status == "Completed", outcome
    seen = json.loads(outputs(job)["a.out"])
    assert seen["SAGEMAKER_BATCH"] == "true"
    assert seen["SAGEMAKER_MAX_PAYLOAD_IN_MB"] == "3"
    assert seen["SAGEMAKER_BATCH_STRATEGY"] == "SINGLE_RECORD"
    assert seen["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] == "2"
    assert seen["SAGEMAKER_MODEL_SERVER_TIMEOUT"] == "77"
    assert seen["OWN"] == "1"


def test_a_server_that_dies_in_the_middle_fails_the_job_with_its_last_words(job: Any) -> None:
    job.s3.bucket.update({"in/a": b"1\n", "in/b": b"die\n", "in/c": b"3\n"})
    outcome = job.run(plan(job, most_retries=3))
    assert outcome.status == "Failed"
    assert "this is too much" in outcome.reason
    assert outcome.reason.endswith("exit code: 7")
    assert outcome.exit_code == 7
    assert "b.out" not in outputs(job)
    assert job.leftovers() == []


def test_a_server_killed_from_outside_fails_the_job(job: Any) -> None:
    job.s3.bucket["in/a"] = b"slow\n"
    job.start(plan(job))
    job.wait_for("slow")
    server = next(pid for pid in job.leftovers() if pid != job.process.pid)
    os.kill(server, signal.SIGKILL)
    outcome = job.finish()
    assert outcome.status == "Failed"
    assert outcome.exit_code == 137
    assert outputs(job) == {}


@pytest.mark.parametrize("size", [1, 3])
def test_a_stop_leaves_the_outputs_that_were_whole(job: Any, size: int) -> None:
    job.s3.bucket.update({"in/a": b"1\n", "in/b": b"2\nslow\n" * size})
    job.start(plan(job, max_concurrent=8))  # objects have no order: the slow one must not take every turn
    job.wait_for("slow")
    deadline = time.monotonic() + 30
    while "out/a.out" not in job.s3.bucket and time.monotonic() < deadline:
        time.sleep(0.02)
    (job.folder / STOP).touch()
    outcome = job.finish()
    assert (outcome.status, outcome.reason) == ("Stopped", None)
    assert outputs(job) == {"a.out": b"2.0\n"}
    assert job.leftovers() == []


def test_nothing_to_transform_is_told_before_the_server_starts(job: Any) -> None:
    outcome = job.run(plan(job))
    assert 'No S3 objects found under S3 URL "s3://bucket/in/"' in outcome.reason
    assert not (job.folder / "log/algo-1.log").exists()


def test_two_objects_with_one_output_are_told_apart(job: Any) -> None:
    job.s3.bucket.update({"in-1": b"1\n", "in/in-1": b"2\n"})
    outcome = job.run(plan(job, input_s3_uri="s3://bucket/in"))
    assert outcome.reason.startswith(
        "ClientError: s3://bucket/in-1 and s3://bucket/in/in-1 of TransformInput would"
    )


def test_an_object_named_twice_is_transformed_once(job: Any) -> None:
    job.s3.bucket.update(
        {"in/a": b"1\n", "list": json.dumps([{"prefix": "s3://bucket/in/"}, "a", "a"]).encode()}
    )
    job.run(plan(job, input_s3_uri="s3://bucket/list", s3_data_type="ManifestFile"))
    assert outputs(job) == {"a.out": b"2.0\n"}
    assert any("1 of 1 object transformed" in line for line in job.log())


def test_one_object_is_its_own_prefix(job: Any) -> None:
    job.s3.bucket["in/deep/a.csv"] = b"1\n"
    assert job.run(plan(job, input_s3_uri="s3://bucket/in/deep/a.csv")).status == "Completed"
    assert outputs(job) == {"a.csv.out": b"2.0\n"}
