"""CloudWatch Logs over log files: a token is a byte offset, so reading on costs what is new.

`log_streams` says which groups and streams there are, `log_files` reads them.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from clary.domain.names import Account
from clary.errors import ClientFault, ResourceNotFoundException
from clary.services import log_files, log_streams
from clary.services.log_files import Line
from clary.services.log_pattern import read_pattern
from clary.services.log_streams import Stream
from clary.services.operations import Context, operation

PAGE_EVENTS = 10_000
PAGE_BYTES = 1_048_576
EVENT_OVERHEAD = 26
SCAN_BYTES = 16 * PAGE_BYTES


class InvalidParameterException(ClientFault):
    """A parameter is specified incorrectly."""

    code = "InvalidParameterException"


@operation("logs", "DescribeLogGroups")
def describe_log_groups(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The groups of training, processing and transform jobs, and one for each endpoint."""
    prefix = request.get("logGroupNamePrefix", "")
    pattern = request.get("logGroupNamePattern", "")
    names = sorted(name for name in log_streams.groups(context, prefix) if pattern.lower() in name.lower())
    names, token = _page_by_name(names, request, limit=50)
    groups = [_describe_group(context.account, name) for name in names]
    return {"logGroups": groups, **({"nextToken": token} if token else {})}


@operation("logs", "DescribeLogStreams")
def describe_log_streams(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """One for each host of a job or instance of an endpoint, by name or by the time of the last event."""
    group = _group(context, request)
    prefix = request.get("logStreamNamePrefix", "")
    by_time = request.get("orderBy") == "LastEventTime"
    if by_time and prefix:
        raise InvalidParameterException("Cannot order by LastEventTime with a logStreamNamePrefix.")
    streams = {stream.name: stream for stream in log_streams.streams(context, group, prefix)}
    names = sorted(streams, reverse=bool(request.get("descending")))
    if by_time:
        last = {name: log_files.last_time(stream.path) or 0 for name, stream in streams.items()}
        names.sort(key=last.__getitem__, reverse=bool(request.get("descending")))
    names, token = _page_by_name(names, request, limit=50)
    described = [_describe_stream(context.account, group, streams[name]) for name in names]
    return {"logStreams": described, **({"nextToken": token} if token else {})}


@operation("logs", "GetLogEvents")
def get_log_events(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without a token: the oldest events (startFromHead) or the newest, always told oldest first.

    A page may be empty; the forward token is then the one that was sent.
    """
    stream = _stream(context, _group(context, request), request["logStreamName"])
    first = log_files.find_time(stream.path, request.get("startTime", 0))
    direction, offset = _position(stream.path, request)
    if direction == "f":
        start = max(first, offset)
        lines = _take(_until(log_files.read_forward(stream.path, start), request.get("endTime")), request)
    else:
        if request.get("endTime") is not None:
            offset = min(offset, log_files.find_time(stream.path, request["endTime"]))
        start = max(first, offset)
        backward = takewhile(lambda line: line.start >= first, log_files.read_backward(stream.path, offset))
        lines = _take(backward, request)[::-1]
    return {
        "events": [_event(line) for line in lines],
        "nextForwardToken": f"f/{lines[-1].end if lines else start}",
        "nextBackwardToken": f"b/{lines[0].start if lines else start}",
    }


@operation("logs", "FilterLogEvents")
def filter_log_events(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Events of many streams, merged by time. A page ends early, with a token, after much was searched.

    A page that has events always has a token, for what is yet to be written: the SDKs show no other pages while an
    endpoint is made. The page behind the last event is empty and has none.
    """
    group = _group(context, request)
    matches = _matcher(request)
    start, end = request.get("startTime", 0), request.get("endTime")
    after = _filter_token(request.get("nextToken"))
    streams = _chosen_streams(context, group, request)
    merged = heapq.merge(*(_keyed(stream, max(start, after[0]), end) for stream in streams))
    events: list[Mapping[str, Any]] = []
    scanned = size = 0
    for key, line in merged:
        if key <= after:
            continue
        cost = len(line.text) + EVENT_OVERHEAD if matches(line.text) else 0
        page_full = len(events) == _limit(request) or size + cost > PAGE_BYTES
        if scanned > SCAN_BYTES or (page_full and cost and events):
            return {"events": events, "searchedLogStreams": [], "nextToken": _write_filter_token(after)}
        if cost:
            events.append({"logStreamName": key[1], "eventId": f"{key[2]:056d}", **_event(line)})
        after, size, scanned = key, size + cost, scanned + line.end - line.start
    more = {"nextToken": _write_filter_token(after)} if events else {}
    return {"events": events, "searchedLogStreams": [], **more}


def _group(context: Context, request: Mapping[str, Any]) -> str:
    identifier = request.get("logGroupName") or request.get("logGroupIdentifier")
    if not identifier:
        raise InvalidParameterException("Either logGroupName or logGroupIdentifier must be specified.")
    name = str(identifier).partition(":log-group:")[2].removesuffix(":*") or str(identifier)
    if not log_streams.is_group(context, name):
        raise ResourceNotFoundException("The specified log group does not exist.")
    return name


def _stream(context: Context, group: str, name: str) -> Stream:
    for stream in log_streams.streams(context, group, name):
        if stream.name == name:
            return stream
    raise ResourceNotFoundException("The specified log stream does not exist.")


def _page_by_name(
    names: list[str], request: Mapping[str, Any], *, limit: int
) -> tuple[list[str], str | None]:
    """A page of an ordered list of names. The token is the name of the last one given."""
    token = request.get("nextToken")
    if token is not None and token not in names:
        raise InvalidParameterException("The specified nextToken is invalid.")
    start = names.index(token) + 1 if token is not None else 0
    page = names[start : start + request.get("limit", limit)]
    more = start + len(page) < len(names)
    return page, page[-1] if more and page else None


def _position(path: Path, request: Mapping[str, Any]) -> tuple[str, int]:
    token = request.get("nextToken")
    if token is None:
        return ("f", 0) if request.get("startFromHead") else ("b", log_files.whole_size(path))
    match = re.fullmatch(r"([fb])/(\d{1,18})", token)
    if match is None or not log_files.is_line_start(path, int(match[2])):
        raise InvalidParameterException("The specified nextToken is invalid.")
    return match[1], int(match[2])


def _until(lines: Iterable[Line], end_ms: int | None) -> Iterable[Line]:
    return lines if end_ms is None else takewhile(lambda line: line.at_ms < end_ms, lines)


def _take(lines: Iterable[Line], request: Mapping[str, Any]) -> list[Line]:
    """A page: as many as asked for and fit, at least one if there is one."""
    page: list[Line] = []
    size = 0
    for line in lines:
        size += len(line.text.encode()) + EVENT_OVERHEAD
        if page and size > PAGE_BYTES:
            break
        page.append(line)
        if len(page) == _limit(request):
            break
    return page


def _limit(request: Mapping[str, Any]) -> int:
    return min(int(request.get("limit", PAGE_EVENTS)), PAGE_EVENTS)


def _event(line: Line) -> Mapping[str, Any]:
    return {"timestamp": line.at_ms, "message": line.text, "ingestionTime": line.at_ms}


Key = tuple[int, str, int]


def _keyed(stream: Stream, start_ms: int, end_ms: int | None) -> Iterator[tuple[Key, Line]]:
    lines = log_files.read_forward(stream.path, log_files.find_time(stream.path, start_ms))
    for line in _until(lines, end_ms):
        if line.at_ms >= start_ms:
            yield (line.at_ms, stream.name, line.start), line


def _chosen_streams(context: Context, group: str, request: Mapping[str, Any]) -> Sequence[Stream]:
    names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix")
    if names and prefix:
        raise InvalidParameterException("Specify logStreamNames or logStreamNamePrefix, not both.")
    if names:
        return [_stream(context, group, name) for name in dict.fromkeys(names)]
    return list(log_streams.streams(context, group, prefix or ""))


def _filter_token(token: str | None) -> Key:
    """The event to continue behind: its time, its offset and its stream."""
    if token is None:
        return (0, "", -1)
    match = re.fullmatch(r"(\d{1,18})/(-?\d{1,18})/(.*)", token, re.ASCII | re.DOTALL)
    if match is None:
        raise InvalidParameterException("The specified nextToken is invalid.")
    return int(match[1]), match[3], int(match[2])


def _write_filter_token(key: Key) -> str:
    at_ms, name, offset = key
    return f"{at_ms}/{offset}/{name}"


def _matcher(request: Mapping[str, Any]) -> Callable[[str], bool]:
    try:
        return read_pattern(request.get("filterPattern", ""))
    except ValueError as error:
        raise InvalidParameterException(f"filterPattern: {error}") from None


def _describe_group(account: Account, name: str) -> Mapping[str, Any]:
    arn = account.log_group(name)
    return {
        "logGroupName": name,
        "arn": arn,
        "logGroupArn": arn.removesuffix(":*"),
        "logGroupClass": "STANDARD",
        "metricFilterCount": 0,
        "storedBytes": 0,
    }


def _describe_stream(account: Account, group: str, stream: Stream) -> Mapping[str, Any]:
    last = log_files.last_time(stream.path)
    document = {
        "logStreamName": stream.name,
        "arn": account.log_stream(group, stream.name),
        "creationTime": stream.created_ms,
        "storedBytes": 0,
        "uploadSequenceToken": stream.name,
    }
    if last is None:
        return document
    first = log_files.first_time(stream.path)
    return {**document, "firstEventTimestamp": first, "lastEventTimestamp": last, "lastIngestionTime": last}
