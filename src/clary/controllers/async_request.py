"""One request of an asynchronous endpoint: read its input, ask the model, write the output or why there is none.

Runs in a thread of its own and may be cut short anywhere: the object with the answer is written whole and marked with
the request's id, so that a request that was answered is known as such when it is looked at again, not answered twice.
"""

from __future__ import annotations

import json
import logging
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from typing import Literal, Protocol

from clary.domain.async_inference import (
    DEFAULT_TIMEOUT_S,
    MARK,
    Failure,
    Place,
    failure_document,
    place_of,
)
from clary.domain.names import Account
from clary.errors import S3Fault
from clary.objects.base import Meta, NoSuchBucket, NoSuchKey, Objects, OutOfSpace
from clary.routing.ask import Answer, Ask, NoAnswer
from clary.store.base import Resource

log = logging.getLogger("clary.controllers.async_request")

Result = Literal["output", "failure", "expired", "lost", "again"]

MOST_DEATHS = 2
BUSY_REST_S = 0.5
FAULT_REST_S = 5.0
MOST_FAULTS = 5
MOST_INPUT = 1 << 30  # bytes of inputs held in memory at once
LONGEST_MESSAGE = 64 * 1024  # bytes of a model's error that a failure object quotes

# kinds of "no answer" where nobody was asked: the request waits for its turn again
_NOT_ASKED = frozenset({"refused", "throttled", "not ready"})


class InputGone(Exception):
    """The input was deleted after the request was taken."""


class Room:
    """Memory for inputs: who wants some waits until there is enough. An input larger than all of it waits for all."""

    def __init__(self, most: int = MOST_INPUT) -> None:
        self._most = most
        self._taken = 0
        self._given_back = threading.Condition()

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Hold `size` bytes."""
        with self._given_back:
            self._given_back.wait_for(lambda: not self._taken or self._taken + size <= self._most)
            self._taken += size
        try:
            yield
        finally:
            with self._given_back:
                self._taken -= size
                self._given_back.notify_all()


class Invoke(Protocol):
    """See `routing.router.Router.invoke`."""

    def __call__(self, endpoint: Resource, ask: Ask, /) -> Answer: ...


@dataclass(frozen=True, slots=True)
class World:
    """What answering a request takes."""

    objects: Objects
    account: Account
    invoke: Invoke
    now: Callable[[], float]
    room: Room = field(default_factory=Room)


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a request.

    result      "output" and "failure" are written; "expired" is a failure, too; "lost": there is no place to write to;
                "again": it is to be looked at again after `rest_s`, `deaths` and `faults` being what it has met by then
    asked_s     how long the model took; None if it gave no answer
    download_s  how long reading the input took
    """

    name: str
    result: Result
    rest_s: float = 0.0
    deaths: int = 0
    faults: int = 0
    asked_s: float | None = None
    download_s: float | None = None


def answer(world: World, endpoint: Resource | None, row: Resource) -> Ended:
    """`endpoint` is None where it was deleted. Raises nothing."""
    try:
        return _answer(world, endpoint, row)
    except OutOfSpace:
        log.warning("%s: no room for its answer; it waits", row.arn)
        return _again(row, FAULT_REST_S)
    except Exception as error:
        log.exception("%s: a look at it failed", row.arn)
        faults = row.state["faults"] + 1
        if faults < MOST_FAULTS:
            return _again(row, FAULT_REST_S, faults=1)
        failure = Failure("InternalServerError", f"{type(error).__name__}: {error}")
        return _give_up(world, row, failure)


def _answer(world: World, endpoint: Resource | None, row: Resource) -> Ended:
    if is_answered(world.objects, row):
        return Ended(row.name, "output")
    if world.now() >= row.state["expires"]:
        return _expire(world, row)
    if endpoint is None:
        return _fail(
            world, row, Failure("ClientError", "the endpoint was deleted before it took the request")
        )
    try:
        size = _input_size(world.objects, row)
        with world.room.of(size):
            return _ask_with(world, endpoint, row, world.now())
    except InputGone as fault:
        where = row.spec["InputLocation"]
        return _fail(world, row, Failure("ClientError", f"InputLocation {where} is gone: {fault}"))


def _ask_with(world: World, endpoint: Resource, row: Resource, begun: float) -> Ended:
    body = _read(world.objects, row)
    asked = world.now()
    try:
        said = world.invoke(endpoint, _ask(row, body))
    except NoAnswer as why:
        return _unanswered(world, row, why)
    if said.status == 503 and "x-clary-refused" in said.headers:
        return _again(row, BUSY_REST_S)
    ended = _write_answer(world, row, said)
    return Ended(row.name, ended, asked_s=world.now() - asked, download_s=asked - begun)


def _expire(world: World, row: Resource) -> Ended:
    """Nobody took the request in its time to live."""
    age_s = round(row.state["expires"] - row.created)
    reason = f"the request waited for more than its RequestTTLSeconds ({age_s}) and was not begun"
    ended = _fail(world, row, Failure("ExpiredRequest", reason))
    return Ended(row.name, "expired") if ended.result == "failure" else ended


def _ask(row: Resource, body: bytes) -> Ask:
    spec = row.spec
    headers = {
        "Content-Type": row.state["content_type"],
        "Accept": spec.get("Accept"),
        "X-Amzn-SageMaker-Custom-Attributes": spec.get("CustomAttributes"),
        "X-Amzn-SageMaker-Inference-Id": spec["InferenceId"],
    }
    return Ask(
        body=body,
        headers={name: value for name, value in headers.items() if value},
        variant=None,
        timeout_s=float(spec.get("InvocationTimeoutSeconds") or DEFAULT_TIMEOUT_S),
        asynchronous=True,
    )


def _input_size(objects: Objects, row: Resource) -> int:
    if "Body" in row.spec:
        return len(row.spec["Body"])
    place = _place(row.spec["InputLocation"])
    try:
        return objects.head(place.bucket, place.key).size
    except (NoSuchBucket, NoSuchKey) as fault:
        raise InputGone(fault.message) from None


def _read(objects: Objects, row: Resource) -> bytes:
    if "Body" in row.spec:
        return b64decode(row.spec["Body"])
    place = _place(row.spec["InputLocation"])
    try:
        with objects.open(place.bucket, place.key) as opened:
            return b"".join(opened.chunks(0, opened.object.size))
    except (NoSuchBucket, NoSuchKey) as fault:
        raise InputGone(fault.message) from None


def _unanswered(world: World, row: Resource, why: NoAnswer) -> Ended:
    if why.kind in _NOT_ASKED:
        return _again(row, BUSY_REST_S)
    if why.kind == "died" and row.state["deaths"] + 1 < MOST_DEATHS:
        log.warning("%s: its instance died; it is asked once more", row.arn)
        return _again(row, 0.0, deaths=1)
    kind = "ClientError" if why.kind in {"no variant", "gone", "too large"} else "ModelError"
    message = why.message
    if why.kind == "died":
        message += f"; the request was tried {MOST_DEATHS} times"
    return _fail(world, row, Failure(kind, message), variant=why.variant)


def _write_answer(world: World, row: Resource, said: Answer) -> Result:
    body = said.body if isinstance(said.body, bytes) else b"".join(said.body)
    if said.status < 300:
        content_type = said.headers.get("content-type", "application/octet-stream")
        extra = {"x-amzn-invoked-production-variant": said.variant}
        if custom := said.headers.get("x-amzn-sagemaker-custom-attributes"):
            extra["x-amzn-sagemaker-custom-attributes"] = custom
        try:
            _put(world, row, _place(row.state["output"]), body, content_type, extra)
        except NoSuchBucket as fault:
            failure = Failure("ClientError", f"S3OutputPath {row.state['output']}: {fault.message}")
            return _fail(world, row, failure, variant=said.variant).result
        return "output"
    text = body[:LONGEST_MESSAGE].decode("utf-8", "replace")
    whose = "client" if said.status < 500 else "server"
    reason = f'Received {whose} error ({said.status}) from {said.variant} with message "{text}"'
    failure = Failure("ModelError", reason, said.status, text)
    return _fail(world, row, failure, variant=said.variant).result


def _fail(world: World, row: Resource, failure: Failure, *, variant: str = "") -> Ended:
    document = failure_document(
        world.account,
        row.spec,
        row.created,
        failure,
        inference_id=row.spec["InferenceId"],
        variant=variant,
        now=world.now(),
    )
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    try:
        _put(world, row, _place(row.state["failure"]), body, "application/json", {})
    except NoSuchBucket:
        log.error("%s: no bucket for its failure: %s", row.arn, failure.reason)
        return Ended(row.name, "lost")
    log.info("%s failed: %s", row.arn, failure.kind)
    return Ended(row.name, "failure")


def put_off(row: Resource) -> Ended:
    """Nothing could be done for it now."""
    return _again(row, FAULT_REST_S)


def _give_up(world: World, row: Resource, failure: Failure) -> Ended:
    try:
        return _fail(world, row, failure)
    except S3Fault:
        return _again(row, FAULT_REST_S)
    except Exception:
        log.exception("%s: its failure cannot be written", row.arn)
        return _again(row, FAULT_REST_S)


def _again(row: Resource, rest_s: float, *, deaths: int = 0, faults: int = 0) -> Ended:
    state = row.state
    return Ended(
        row.name, "again", rest_s=rest_s, deaths=state["deaths"] + deaths, faults=state["faults"] + faults
    )


# -- objects


def is_answered(objects: Objects, row: Resource) -> bool:
    """Whether an object with the request's mark is there already: then only its row is left of it."""
    return any(_is_marked(objects, row, _place(row.state[which])) for which in ("output", "failure"))


def _is_marked(objects: Objects, row: Resource, place: Place) -> bool:
    try:
        found = objects.head(place.bucket, place.key)
    except (NoSuchBucket, NoSuchKey):
        return False
    metadata = found.meta.headers.get("Metadata", {})
    return bool(metadata.get(MARK) == row.state["id"])


def _put(
    world: World, row: Resource, place: Place, body: bytes, content_type: str, extra: dict[str, str]
) -> None:
    if is_answered(world.objects, row):  # by another server that held the request before
        return
    metadata = {MARK: row.state["id"], **extra}
    with world.objects.stage() as staged:
        staged.write(body)
        world.objects.put(
            place.bucket,
            place.key,
            staged,
            etag=md5(body, usedforsecurity=False).hexdigest(),
            modified=world.now(),
            meta=Meta({"ContentType": content_type, "Metadata": metadata}),
        )


def _place(uri: str) -> Place:
    place = place_of(uri)
    assert place is not None, "checked when the request was taken"
    return place
