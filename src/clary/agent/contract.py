"""The job folder: the protocol between a runner, its agent and whoever reads the story.

    <folder>/
      plan.json        what to do; written by the runner before launch, mode 0600 (it holds credentials)
      agent.lock       held (flock) by the agent while it lives
      agent.json       {"pid", "started", "boot"}: who the agent is; `started` are clock ticks since boot
      stop             its presence asks the agent to end the program
      story.jsonl      one event a line: {"at": seconds, "status": secondary status, "message": str}
      log/<host>.log   one line of output a line: "<epoch ms>\t<text>\n", times never decreasing
      metrics.jsonl    one match of a metric definition a line: {"at", "name", "value"}; text for nan, inf and -inf
      usage.jsonl      one sample a line: {"at", "host", <metric name>: value}
      serving.json     {"address": "host:port", "report": what the server says of itself}; a server that answers
      outcome.json     how it ended; appears by rename, last of all, and never changes
      ml/              the program's /opt/ml

A job of several hosts has one such folder a host, `<folder>/algo-1` to `<folder>/algo-n`, each with an agent of its
own; nothing else lies in `<folder>` then.

Every file grows by whole lines or appears by rename, so a reader may look at any moment; a last line without its
newline is still being written.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

PLAN = "plan.json"
LOCK = "agent.lock"
AGENT = "agent.json"
STOP = "stop"
STORY = "story.jsonl"
LOGS = "log"
METRICS = "metrics.jsonl"
USAGE = "usage.jsonl"
SERVING = "serving.json"
OUTCOME = "outcome.json"
ML = "ml"

GRACE_S = 120.0

MARK = "CLARY_JOB"
"""Every process of a job carries this variable, so that what is left behind can be found; `mark` is its value."""

Work = Literal["training", "processing", "serving", "transform"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One entry of InputDataConfig with its defaults filled in."""

    name: str
    s3_uri: str
    s3_data_type: Literal["S3Prefix", "ManifestFile"] = "S3Prefix"
    input_mode: Literal["File"] = "File"
    distribution: str = "FullyReplicated"
    record_wrapper: str = "None"
    content_type: str | None = None
    compression: str = "None"


@dataclass(frozen=True, slots=True)
class Input:
    """Objects to bring to `local_path`, a directory as the program sees it."""

    name: str
    s3_uri: str
    local_path: str
    s3_data_type: Literal["S3Prefix", "ManifestFile"] = "S3Prefix"
    distribution: str = "FullyReplicated"


@dataclass(frozen=True, slots=True)
class Output:
    """A directory, as the program sees it, whose files go to S3: at the end, or also while the program runs."""

    name: str
    s3_uri: str
    local_path: str
    continuous: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoints:
    s3_uri: str
    local_path: str = "/opt/ml/checkpoints"


@dataclass(frozen=True, slots=True)
class Model:
    """What an instance of an endpoint, or a transform job, serves.

    `data_url` is an archive, an object or a prefix in S3, empty where the program gets its model elsewhere; with
    `mode` MultiModel it is the prefix that models are fetched from on demand. `serve` is the command of a program that
    serves HTTP; empty for Clary's model server.
    """

    image: str
    data_url: str = ""
    data_type: Literal["S3Object", "S3Prefix"] = "S3Object"
    compression: Literal["Gzip", "None"] = "Gzip"
    mode: Literal["SingleModel", "MultiModel"] = "SingleModel"
    serve: Sequence[str] = ()
    startup_timeout_s: float = 600.0
    download_timeout_s: float = 1200.0


@dataclass(frozen=True, slots=True)
class Transform:
    """What a transform job does with its model, in CreateTransformJob's words; durations are seconds."""

    input_s3_uri: str
    output_s3_uri: str
    s3_data_type: Literal["S3Prefix", "ManifestFile"] = "S3Prefix"
    content_type: str = ""
    compression: Literal["None", "Gzip"] = "None"
    split: Literal["None", "Line", "RecordIO", "TFRecord"] = "None"
    strategy: Literal["SingleRecord", "MultiRecord"] | None = None
    accept: str = ""
    assemble: Literal["None", "Line"] = "None"
    max_payload_mib: int | None = None
    max_concurrent: int | None = None
    input_filter: str = "$"
    output_filter: str = "$"
    join: Literal["None", "Input"] = "None"
    most_retries: int = 3
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    name: str
    regex: str


@dataclass(frozen=True, slots=True)
class Access:
    """How the agent and the program reach S3 and the API. `ca_bundle` is a path on this machine."""

    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All an agent needs to know. Durations are seconds, sizes bytes.

    `python` is the interpreter whose packages the program sees; `sandbox` the confinement: the command line of
    bubblewrap up to the program (see `runners.sandbox`), empty for none. `documents` are JSON files that the program
    finds, by their paths below /opt/ml. Which of the other fields count depends on the kind of `work`.
    """

    job_name: str
    job_arn: str
    access: Access
    python: str
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Sequence[Channel] = ()
    output_s3_uri: str = ""
    work: Work = "training"
    inputs: Sequence[Input] = ()
    outputs: Sequence[Output] = ()
    documents: Mapping[str, Any] = field(default_factory=dict)
    host: str = "algo-1"
    hosts: Sequence[str] = ("algo-1",)
    instance_type: str = "local"
    instance_groups: Sequence[Mapping[str, Any]] = ()
    cpus: int = 1
    gpus: Sequence[int] = ()
    entrypoint: Sequence[str] = ()
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    metric_definitions: Sequence[MetricDefinition] = ()
    checkpoints: Checkpoints | None = None
    model: Model | None = None
    transform: Transform | None = None
    compression: Literal["GZIP", "NONE"] = "GZIP"
    max_runtime_s: float = 86_400.0
    grace_s: float = GRACE_S
    usage_period_s: float = 15.0
    sandbox: Sequence[str] = ()
    isolation: str = "none"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended. `status` and `secondary` are SageMaker's words; `reason` goes to FailureReason.

    `started` is when the instance was ready (billing starts), `ended` when all was uploaded; None where
    the job did not get that far. `artifacts` is the S3 URI of the model, if one was uploaded; `message` what a
    processing program said of its end.
    """

    status: Literal["Completed", "Failed", "Stopped"]
    secondary: str
    at: float
    reason: str | None = None
    exit_code: int | None = None
    started: float | None = None
    ended: float | None = None
    artifacts: str | None = None
    message: str | None = None
    notes: Sequence[str] = ()


def mark(folder: Path) -> str:
    """The name of a job folder; that of a host's needs the job's before it."""
    is_host = re.fullmatch(r"algo-\d+", folder.name)
    return f"{folder.parent.name}/{folder.name}" if is_host else folder.name


def host_folder(folder: Path, host: str, hosts: Sequence[str]) -> Path:
    """Where a host of the job lives: in the job's folder itself if it is the only one."""
    return folder / host if len(hosts) > 1 else folder


def write_document(path: Path, document: Mapping[str, Any], *, mode: int = 0o600) -> None:
    """Appears whole or not at all, and survives a power cut once this returns."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def write_plan(folder: Path, plan: Plan) -> None:
    write_document(folder / PLAN, asdict(plan))


def read_plan(folder: Path) -> Plan:
    raw = json.loads((folder / PLAN).read_text("utf-8"))
    raw["access"] = Access(**raw["access"])
    raw["channels"] = [Channel(**channel) for channel in raw["channels"]]
    raw["inputs"] = [Input(**entry) for entry in raw["inputs"]]
    raw["outputs"] = [Output(**entry) for entry in raw["outputs"]]
    raw["metric_definitions"] = [MetricDefinition(**entry) for entry in raw["metric_definitions"]]
    if raw["checkpoints"] is not None:
        raw["checkpoints"] = Checkpoints(**raw["checkpoints"])
    if raw["model"] is not None:
        raw["model"] = Model(**raw["model"])
    if raw["transform"] is not None:
        raw["transform"] = Transform(**raw["transform"])
    return Plan(**raw)


def write_outcome(folder: Path, outcome: Outcome) -> None:
    write_document(folder / OUTCOME, asdict(outcome))


def read_outcome(folder: Path) -> Outcome | None:
    try:
        return Outcome(**json.loads((folder / OUTCOME).read_text("utf-8")))
    except FileNotFoundError:
        return None
