"""Batch transform: a model's server, and this host's share of the objects taken through it."""

from __future__ import annotations

import math
import shutil
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.agent.contract import Input, Outcome, Plan
from clary.agent.contract import Transform as Wanted
from clary.agent.faults import ClientFault, Interrupted, clip
from clary.agent.health import PATIENCE_S
from clary.agent.model_server import ModelServer
from clary.agent.places import Places
from clary.agent.run import Ended
from clary.agent.s3 import S3, parse_uri
from clary.agent.stage import Item, find, share
from clary.agent.story import Story
from clary.agent.toolkit import Program, Step
from clary.agent.transform_ask import Asker
from clary.agent.transform_objects import Progress, counted, transform
from clary.agent.transform_pace import settle
from clary.agent.transform_requests import Requests

FOLDER = "transform"

_STRATEGIES = {"SingleRecord": "SINGLE_RECORD", "MultiRecord": "MULTI_RECORD"}
_MOST_OBJECTS = 64
_JOIN_S = 30.0


class Transform:
    """A `Work`."""

    running = "Transforming"
    message = "The model's server starts."
    uploading = ""
    out_of_time = "Stopping the transform job because it ran longer than it may"

    def __init__(
        self,
        plan: Plan,
        places: Places,
        story: Story,
        *,
        s3: S3,
        stop_asked: Callable[[], bool],
        tell: Callable[[str], None],
    ) -> None:
        """`s3` is interrupted when `stop_asked`: nothing is saved after that. `tell` takes a line for the log."""
        if plan.transform is None:
            raise ClientFault("Nothing says what to transform.")
        self._plan = plan
        self._wanted: Wanted = plan.transform
        self._places = places
        self._story = story
        self._s3 = s3
        self._tell = tell
        # a server of one thread answers no ping while it works on a request
        patience_s = max(PATIENCE_S, self._wanted.timeout_s)
        self._server = ModelServer(plan, places, self._answering, patience_s=patience_s)
        self._items: Sequence[Item] = ()
        self._asker = Asker(
            self._server.address,
            headers=_headers(self._wanted),
            timeout_s=self._wanted.timeout_s,
            most_retries=self._wanted.most_retries,
            is_over=stop_asked,
        )
        self._outcome: Outcome | None = None
        self._thread = threading.Thread(target=self._work, name="transform", daemon=True)

    @property
    def variables(self) -> Mapping[str, str]:
        """Of the last three only those that the request says, as in SageMaker."""
        wanted = self._wanted
        variables = {
            **self._server.variables,
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MODEL_SERVER_TIMEOUT": str(math.ceil(wanted.timeout_s)),
        }
        if wanted.max_payload_mib is not None:
            variables["SAGEMAKER_MAX_PAYLOAD_IN_MB"] = str(wanted.max_payload_mib)
        if wanted.strategy is not None:
            variables["SAGEMAKER_BATCH_STRATEGY"] = _STRATEGIES[wanted.strategy]
        if wanted.max_concurrent:
            variables["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] = str(wanted.max_concurrent)
        return variables

    def stage(self, s3: S3) -> Program:
        self._story.tell("Downloading", "Downloading the model")
        source = Input(
            "the transform job", self._wanted.input_s3_uri, "", self._wanted.s3_data_type, "ShardedByS3Key"
        )
        found = find(s3, source, "TransformInput")
        self._items = share(
            _apart([item for item in found if not item.path.endswith("/")]), source, self._plan
        )
        return self._server.stage(s3)

    def start(self) -> None:
        self._server.start()

    def abandon(self) -> None:
        self._end()

    def is_done(self) -> bool:
        return self._outcome is not None or self._server.is_done()

    def judge(self, step: Step, ended: Ended) -> Outcome:
        """That of the objects, if they were all tried; else the server has ended before its time."""
        self._end()
        outcome = self._outcome
        if outcome is not None and (outcome.status == "Completed" or ended.cause == "work"):
            return outcome
        return self._server.judge(step, ended)

    def save(self, outcome: Outcome) -> Outcome:
        """Outputs are saved as they are made, each when it is whole."""
        self._end()
        return outcome

    def _answering(self, _address: str, _report: Mapping[str, Any]) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def _work(self) -> None:
        try:
            self._outcome = self._transform()
        except Interrupted:
            pass  # who interrupted it knows the outcome
        except Exception as fault:  # noqa: BLE001 - the boundary of a thread: the job must end
            traceback.print_exc()
            reason = f"InternalServerError: the transform failed: {type(fault).__name__}: {fault}"
            self._outcome = Outcome("Failed", "Failed", 0.0, reason=clip(reason))

    def _transform(self) -> Outcome:
        wanted = self._wanted
        pace = settle(wanted, self._asker.parameters())
        objects = counted(len(self._items), "object")
        self._story.tell(self.running, f"The model answers; transforming {objects}.")
        self._tell(f"{objects} to transform; {pace}")
        folder = self._places.folder / FOLDER
        folder.mkdir(exist_ok=True)
        output = wanted.output_s3_uri.rstrip("/")
        progress = Progress(len(self._items), self._tell)
        try:
            with Requests(wanted, pace, self._asker, progress.records) as requests:
                transform(
                    self._items,
                    output=parse_uri(output),
                    s3=self._s3,
                    requests=requests,
                    progress=progress,
                    folder=folder.resolve(),
                    threads=min(2 * pace.concurrent + 1, _MOST_OBJECTS),
                )
        finally:
            progress.tell()
        reason = progress.reason(output)
        if reason is None:
            return Outcome("Completed", "Completed", 0.0)
        return Outcome("Failed", "Failed", 0.0, reason=reason)

    def _end(self) -> None:
        """Whatever is on its way is given up; nothing more is saved."""
        self._server.finish()
        self._asker.end()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_S)
        shutil.rmtree(self._places.folder / FOLDER, ignore_errors=True)


def _apart(items: Sequence[Item]) -> list[Item]:
    """Each object once. Raises ClientFault where two would have one output."""
    places: dict[str, Item] = {}
    for item in items:
        other = places.setdefault(item.path, item)
        if other.place != item.place:
            raise ClientFault(
                f"{other.place} and {item.place} of TransformInput would have one output, {item.path}.out: end the "
                "prefix with a slash, or rename one of them."
            )
    return list(places.values())


def _headers(wanted: Wanted) -> Mapping[str, str]:
    named = {"Content-Type": wanted.content_type, "Accept": wanted.accept}
    return {name: value for name, value in named.items() if value}
