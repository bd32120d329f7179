"""The logs of jobs, as boto3 reads them."""

from __future__ import annotations

from tests.server_process import ServerProcess


def log_lines(server: ServerProcess, group: str, name: str) -> dict[str, list[str]]:
    """The lines of a job's logs, by host."""
    logs = server.client("logs")
    lines: dict[str, list[str]] = {}
    for stream in logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]:
        host = stream["logStreamName"].partition("/")[2].rpartition("-")[0]
        page = logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )
        lines[host] = [event["message"] for event in page["events"]]
    return lines
