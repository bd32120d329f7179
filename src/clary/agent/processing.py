"""Processing: inputs and configuration before the program; its outputs, as they are, and its message after it."""

from __future__ import annotations

import json
from codecs import getincrementaldecoder
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from clary.agent import stage
from clary.agent.contract import Outcome, Output, Plan
from clary.agent.faults import ClientFault, Fault
from clary.agent.mirror import Mirror
from clary.agent.places import OPT_ML, Places, open_own
from clary.agent.run import Ended
from clary.agent.s3 import S3
from clary.agent.story import Story
from clary.agent.toolkit import Program, Step, refuse_unreachable
from clary.agent.work import DOWNLOADING

FOLDERS = ("config", "output", "processing")
MESSAGE_BYTES = 1024


class OutputFile(Mirror):
    """One output's folder."""

    called = "output file"
    threads = 4


class Processing:
    """A `Work`."""

    running = "Processing"
    message = "Processing in progress."
    uploading = "Uploading outputs"
    out_of_time = "Stopping the processing job because it ran longer than MaxRuntimeInSeconds"

    def __init__(self, plan: Plan, places: Places, s3: S3, story: Story) -> None:
        """`s3` is the client to save with: a stop request does not end its waiting."""
        self._plan = plan
        self._places = places
        self._s3 = s3
        self._story = story
        self._outputs: Sequence[Mirror] = ()

    @property
    def variables(self) -> Mapping[str, str]:
        return {}

    def stage(self, s3: S3) -> Program:
        plan, places = self._plan, self._places
        self._refuse_unconfined()
        places.make(*FOLDERS)
        for path, document in plan.documents.items():
            (places.ml / path).write_text(json.dumps(document), "utf-8")
        if plan.inputs:
            self._story.tell("Downloading", DOWNLOADING)
        for entry in plan.inputs:
            whose = f"input {entry.name!r}"
            stage.bring_source(s3, entry, plan, folder=self._on_disk(entry.local_path, whose), whose=whose)
        self._outputs = [self._open(output) for output in plan.outputs]
        cwd = "/" if places.confined else str(places.ml)
        return Program([Step([*plan.entrypoint, *plan.arguments], cwd)], {})

    def start(self) -> None:
        for output, mirror in zip(self._plan.outputs, self._outputs, strict=True):
            if output.continuous:
                mirror.start()

    def abandon(self) -> None:
        for mirror in self._outputs:
            mirror.finish()

    def is_done(self) -> bool:
        return False

    def judge(self, step: Step, ended: Ended) -> Outcome:
        if ended.exit_code == 0:
            return Outcome("Completed", "Completed", 0.0, exit_code=0)
        from clary.agent.failure import explain

        reason, _ = explain(error="", argv=step.argv, exit_code=ended.exit_code, errors=ended.errors)
        return Outcome("Failed", "Failed", 0.0, reason=reason, exit_code=ended.exit_code)

    def save(self, outcome: Outcome) -> Outcome:
        """Every output is tried, after a failure or a stop too; only a job that was to complete fails for one."""
        outcome = self._with_message(outcome)
        if outcome.secondary == "MaxRuntimeExceeded":
            limit_s = self._plan.max_runtime_s
            self._story.note(
                f"The program was ended, for it ran longer than MaxRuntimeInSeconds ({limit_s:g})."
            )
        for output, mirror in zip(self._plan.outputs, self._outputs, strict=True):
            try:
                mirror.finish()
            except Fault as fault:
                self._story.note(f"The output {output.name!r} could not be saved: {fault}")
                if outcome.status == "Completed":
                    outcome = replace(outcome, status="Failed", secondary="Failed", reason=fault.reason)
        return outcome

    def _with_message(self, outcome: Outcome) -> Outcome:
        """The first KB of /opt/ml/output/message; one that is no text fails the job, as in SageMaker."""
        path = self._places.left("output/message")
        if path is None:
            return outcome
        try:
            with open_own(path.parent.resolve() / path.name) as file:
                text = _decode(file.read(MESSAGE_BYTES + 1))
        except UnicodeDecodeError:
            fault = ClientFault("/opt/ml/output/message is not UTF-8 text: write the exit message as such.")
            if outcome.status == "Failed":
                self._story.note(str(fault))
                return outcome
            return replace(outcome, status="Failed", secondary="Failed", reason=fault.reason)
        except OSError as fault:
            self._story.note(f"/opt/ml/output/message could not be read: {fault.strerror}")
            return outcome
        return replace(outcome, message=text or None)

    def _open(self, output: Output) -> Mirror:
        folder = self._on_disk(output.local_path, f"output {output.name!r}")
        mirror = OutputFile(self._s3, output.s3_uri, folder, self._story.note)
        try:
            mirror.open()
        except OSError as fault:
            raise ClientFault(
                f"The folder {output.local_path} of output {output.name!r} cannot be made: {fault.strerror}"
            ) from fault
        return mirror

    def _on_disk(self, path: str, whose: str) -> Path:
        folder = self._places.on_disk(path)
        if folder is None:
            raise ClientFault(f"The LocalPath {path!r} of {whose} must lie below {OPT_ML}/processing.")
        return folder

    def _refuse_unconfined(self) -> None:
        """Without confinement /opt/ml is the machine's, not the job's."""
        refuse_unreachable(self._plan, self._places)
        if self._places.owns_opt_ml or not (self._plan.inputs or self._plan.outputs):
            return
        raise ClientFault(
            f"Inputs and outputs of a processing job lie below {OPT_ML}/processing, which this machine cannot give the "
            f"job: that takes bubblewrap (isolation is {self._plan.isolation!r}). Install bubblewrap and let it use "
            "user namespaces."
        )


def _decode(data: bytes) -> str:
    """Raises UnicodeDecodeError, but not for a character that the limit cuts in two."""
    decoder = getincrementaldecoder("utf-8")()
    return decoder.decode(data[:MESSAGE_BYTES], final=len(data) <= MESSAGE_BYTES)
