"""The demo's own server: started in a home of its own, asked like any other, and gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from clary.client.api import service_client
from clary.client.server import find_server
from clary.server.home import Connection, is_locked

# Long enough for a job to end on SIGTERM, and then on SIGKILL.
STOP_GRACE_S = 5.0
STOP_WITHIN_S = 30.0
LOG_LINES = 30


class StartFailed(Exception):
    """The server did not come up; the message is what it said."""


@dataclass(frozen=True, slots=True)
class DemoServer:
    home: Path
    connection: Connection

    @property
    def endpoint(self) -> str:
        return self.connection.endpoint

    def client(self, service: str) -> Any:
        return service_client(self.connection, service)

    def newest_job(self) -> Mapping[str, Any] | None:
        """What DescribeTrainingJob tells of the job that was made last."""
        sagemaker = self.client("sagemaker")
        found = sagemaker.list_training_jobs(SortBy="CreationTime", SortOrder="Descending", MaxResults=1)
        jobs = found["TrainingJobSummaries"]
        if not jobs:
            return None
        described: Mapping[str, Any] = sagemaker.describe_training_job(
            TrainingJobName=jobs[0]["TrainingJobName"]
        )
        return described

    def log_tail(self, job: str) -> Sequence[str]:
        logs = self.client("logs")
        group = "/aws/sagemaker/TrainingJobs"
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
        return [
            event["message"]
            for stream in streams
            for event in logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], limit=LOG_LINES
            )["events"]
        ]

    def own_log_tail(self) -> str:
        log = self.home / "server.log"
        return log.read_text("utf-8", "replace")[-1500:] if log.exists() else ""

    def download(self, s3_uri: str, target: Path) -> None:
        bucket, _, key = s3_uri.removeprefix("s3://").partition("/")
        body = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
        partial = target.with_name(f".{target.name}.part")
        with partial.open("wb") as file:
            for chunk in body.iter_chunks(1 << 20):
                file.write(chunk)
        partial.rename(target)

    def stop_all(self) -> None:
        """End the jobs and endpoints there are, and wait for their ends: they outlive their server."""
        deadline = time.monotonic() + STOP_WITHIN_S
        while time.monotonic() < deadline:
            if not self._stop_jobs() and not self._delete_endpoints():
                return
            time.sleep(0.2)

    def _stop_jobs(self) -> bool:
        """Asks every job under way to stop. Gives whether there is one."""
        sagemaker = self.client("sagemaker")
        running = [
            job["TrainingJobName"]
            for status in ("InProgress", "Stopping")
            for job in sagemaker.list_training_jobs(StatusEquals=status)["TrainingJobSummaries"]
        ]
        for name in running:
            sagemaker.stop_training_job(TrainingJobName=name)
        return bool(running)

    def _delete_endpoints(self) -> bool:
        """Asks every endpoint to go. Gives whether there is one."""
        sagemaker = self.client("sagemaker")
        endpoints = sagemaker.list_endpoints()["Endpoints"]
        for endpoint in endpoints:
            if endpoint["EndpointStatus"] != "Deleting":
                sagemaker.delete_endpoint(EndpointName=endpoint["EndpointName"])
        return bool(endpoints)


@contextmanager
def running_server(home: Path, *, keep: bool) -> Iterator[DemoServer]:
    """A server on a free port. Afterwards it, its jobs and endpoints are stopped, unless it is to be kept.

    Raises StartFailed.
    """
    home.mkdir(parents=True, mode=0o700)
    try:
        started = _clary("up", "--home", str(home), "--port", "0")
        if started.returncode != 0:
            raise StartFailed(started.stdout.strip())
        server = DemoServer(home, find_server(home))
        try:
            yield server
        finally:
            if not keep:
                _stop_all(server)
    finally:
        if not keep and is_locked(home):
            _clary("down", "--home", str(home))


def _stop_all(server: DemoServer) -> None:
    try:
        server.stop_all()
    except (BotoCoreError, ClientError) as problem:
        print(f"the demo's jobs and endpoints could not be stopped: {problem}", file=sys.stderr)


def _clary(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of our own. Its session is its own too, so that Ctrl-C does not cut it short."""
    return subprocess.run(
        [sys.executable, "-m", "clary.cli.main", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**_without_settings(os.environ), "CLARY_STOP_GRACE_S": f"{STOP_GRACE_S}"},
        start_new_session=True,
    )


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The demo's server must not touch what the user's CLARY_* variables point at."""
    return {name: value for name, value in environment.items() if not name.startswith("CLARY_")}
