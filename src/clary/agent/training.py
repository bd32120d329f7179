"""Training: channels, checkpoints and SageMaker's toolkit before the program; the model and other output after it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from clary.agent import contract, stage
from clary.agent.contract import Outcome, Plan
from clary.agent.faults import ClientFault
from clary.agent.places import Places
from clary.agent.run import Ended
from clary.agent.s3 import S3, parse_uri
from clary.agent.story import Story
from clary.agent.toolkit import Program, Step, make_program
from clary.agent.work import DOWNLOADING

if TYPE_CHECKING:
    from clary.agent.checkpoints import Checkpoints

FOLDERS = ("input/config", "input/data", "model", "output/data", "output/intermediate", "code", "checkpoints")


class Training:
    """A `Work`."""

    running = "Training"
    message = "Training image download completed. Training in progress."
    uploading = "Uploading generated training model"
    out_of_time = "Stopping the training job because it ran longer than MaxRuntimeInSeconds"

    def __init__(self, plan: Plan, places: Places, s3: S3, story: Story) -> None:
        """`s3` is the client to save with: a stop request does not end its waiting."""
        self._plan = plan
        self._places = places
        self._s3 = s3
        self._story = story
        self._checkpoints: Checkpoints | None = None

    @property
    def variables(self) -> Mapping[str, str]:
        return {
            "TRAINING_JOB_NAME": self._plan.job_name,
            "TRAINING_JOB_ARN": self._plan.job_arn,
            "SAGEMAKER_BASE_DIR": self._places.seen_ml,
        }

    def stage(self, s3: S3) -> Program:
        plan, places = self._plan, self._places
        places.make(*FOLDERS)
        stage.write_configuration(plan, places)
        if plan.channels or plan.checkpoints:
            self._story.tell("Downloading", DOWNLOADING)
        stage.bring_channels(s3, plan, places)
        if plan.checkpoints:
            self._checkpoints = self._open_checkpoints(plan.checkpoints)
            self._checkpoints.restore(s3)
        return make_program(plan, places, s3)

    def start(self) -> None:
        if self._checkpoints:
            self._checkpoints.start()

    def abandon(self) -> None:
        if self._checkpoints:
            self._checkpoints.finish()

    def is_done(self) -> bool:
        return False

    def judge(self, step: Step, ended: Ended) -> Outcome:
        output = self._places.left("output")
        if ended.exit_code == 0:
            if step.error and output and not (output / "success").is_symlink():
                with suppress(OSError):
                    (output / "success").touch()
            return Outcome("Completed", "Completed", 0.0, exit_code=0)
        from clary.agent.failure import explain, read_failure_file

        failure = self._places.left("output/failure")
        written = read_failure_file(failure) if failure else ""
        reason, text = explain(
            error=step.error, argv=step.argv, exit_code=ended.exit_code, errors=ended.errors, written=written
        )
        if step.error and output and not failure and not (output / "failure").is_symlink():
            with suppress(OSError):
                (output / "failure").write_text(text, "utf-8")
        return Outcome("Failed", "Failed", 0.0, reason=reason, exit_code=ended.exit_code)

    def save(self, outcome: Outcome) -> Outcome:
        """After a failure only the output and the checkpoints, as in SageMaker; the model in every other case."""
        if self._checkpoints:
            self._checkpoints.finish()
        data = self._places.left("output/data")
        if data and any(data.iterdir()):
            self._upload("output/data", "output")
        if outcome.status == "Failed":
            return outcome
        return replace(outcome, artifacts=self._upload("model", "model"))

    def _open_checkpoints(self, wanted: contract.Checkpoints) -> Checkpoints:
        from clary.agent.checkpoints import Checkpoints

        folder = self._places.on_disk(wanted.local_path)
        if folder is None:
            raise ClientFault(f"CheckpointConfig.LocalPath {wanted.local_path!r} must lie below /opt/ml.")
        return Checkpoints(self._s3, wanted.s3_uri, folder, self._story.note)

    def _upload(self, folder: Literal["model", "output/data"], name: str) -> str:
        from clary.agent.package import upload_folder

        nothing = self._places.folder / "nothing"
        if not self._places.left(folder):
            self._story.note(f"/opt/ml/{folder} was gone or a link at the end; nothing in it was saved.")
            nothing.mkdir(exist_ok=True)
        place = parse_uri(self._plan.output_s3_uri).below(self._plan.job_name).below("output")
        return upload_folder(
            self._s3,
            self._places.left(folder) or nothing,
            place,
            name,
            compression=self._plan.compression,
            seen=f"{self._places.seen_ml}/{folder}",
            note=self._story.note,
        )
