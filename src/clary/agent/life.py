"""The life of one job: stage -> run -> package, told as a story, ended by an outcome.

Modules that few jobs need, or only at their end, are imported there: the program starts sooner.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clary.agent import contract, stage
from clary.agent.contract import Outcome, Plan
from clary.agent.environment import program_environment
from clary.agent.faults import ClientFault, Fault, Interrupted
from clary.agent.layer import build
from clary.agent.metrics import Metrics
from clary.agent.output import Log
from clary.agent.places import Places
from clary.agent.run import Cause, Ended, Watch, run
from clary.agent.s3 import S3, parse_uri
from clary.agent.story import Clock, Lines, Story
from clary.agent.toolkit import Program, Step, make_program
from clary.agent.usage import Usage

if TYPE_CHECKING:
    from clary.agent.checkpoints import Checkpoints

DOWNLOADING = "Downloading input data"
TRAINING = "Training image download completed. Training in progress."
UPLOADING = "Uploading generated training model"
OUT_OF_TIME = "Stopping the training job because it ran longer than MaxRuntimeInSeconds"

_STOPPED = Outcome("Stopped", "Stopped", 0.0)


class Life:
    def __init__(
        self,
        folder: Path,
        plan: Plan,
        *,
        stop_asked: Callable[[], bool],
        clock: Clock = time.time,
        outside: Mapping[str, str] = os.environ,
    ) -> None:
        """`outside` is the agent's own environment."""
        self._folder = folder
        self._plan = plan
        self._stop_asked = stop_asked
        self._clock = clock
        self._outside = outside
        self._places = Places(folder, confined=bool(plan.sandbox))
        self._story = Story(folder, clock)
        self._s3 = S3(plan.access, clock=clock)
        # until the program runs, a stop request ends any waiting; afterwards what it left is saved all the same
        self._early_s3 = S3(plan.access, interrupted=stop_asked, clock=clock)
        self._checkpoints: Checkpoints | None = None

    def live(self) -> Outcome:
        """Never raises for what the job is at fault for: that is an outcome too."""
        started = self._clock()
        try:
            program = self._stage()
            outcome = self._train(program)
        except Fault as fault:
            outcome = Outcome("Failed", "Failed", 0.0, reason=fault.reason)
        except Interrupted:
            outcome = _STOPPED
        self._say_notes()
        now = self._clock()
        return replace(outcome, at=now, ended=now, started=started, notes=tuple(self._story.notes))

    def _say_notes(self) -> None:
        """At the end of the job's log, where its user looks."""
        if self._story.notes:
            lines = [note.encode("utf-8", "backslashreplace") for note in self._story.notes]
            log = Log(
                Lines(self._folder / contract.LOGS / f"{self._plan.host}.log"), self._clock, lambda *_: None
            )
            log.write([b"clary: " + line.replace(b"\n", b"\\n") for line in lines])

    def _stage(self) -> Program:
        plan, places, s3 = self._plan, self._places, self._early_s3
        places.make()
        stage.write_configuration(plan, places)
        if plan.channels or plan.checkpoints:
            self._story.tell("Downloading", DOWNLOADING)
        stage.bring_inputs(s3, plan, places)
        if plan.checkpoints:
            self._checkpoints = self._open_checkpoints(plan.checkpoints)
            self._checkpoints.restore(s3)
        return make_program(plan, places, s3)

    def _open_checkpoints(self, wanted: contract.Checkpoints) -> Checkpoints:
        from clary.agent.checkpoints import Checkpoints

        folder = self._places.on_disk(wanted.local_path)
        if folder is None:
            raise ClientFault(f"CheckpointConfig.LocalPath {wanted.local_path!r} must lie below /opt/ml.")
        return Checkpoints(self._s3, wanted.s3_uri, folder, self._story.note)

    def _train(self, program: Program) -> Outcome:
        base = build(self._plan.python, self._places.env)
        environment = program_environment(self._plan, self._places, base, self._outside) | dict(
            program.variables
        )
        if self._stop_asked():
            raise Interrupted
        self._story.tell("Training", f"{TRAINING} (isolation: {self._plan.isolation})")
        try:
            step, ended = self._run_steps(program, environment)
        except Fault:
            self._finish_checkpoints()
            raise
        outcome = self._judge(step, ended)
        return self._save(outcome)

    def _run_steps(self, program: Program, environment: Mapping[str, str]) -> tuple[Step, Ended]:
        plan, folder = self._plan, self._folder
        metrics = Metrics(plan.metric_definitions, Lines(folder / contract.METRICS), self._story.note)
        log = Log(Lines(folder / contract.LOGS / f"{plan.host}.log"), self._clock, metrics.search)
        usage = Usage(
            folder,
            Lines(folder / contract.USAGE),
            host=plan.host,
            gpus=plan.gpus,
            period_s=plan.usage_period_s,
            clock=self._clock,
        )
        watch = Watch(
            deadline=time.monotonic() + plan.max_runtime_s,
            grace_s=plan.grace_s,
            stop_asked=self._stop_asked,
            on_stop=self._tell_stop,
        )
        usage.start()
        if self._checkpoints:
            self._checkpoints.start()
        try:
            for step in program.steps:
                ended = run(
                    step.argv,
                    cwd=step.cwd,
                    environment=environment,
                    sandbox=plan.sandbox,
                    log=log,
                    watch=watch,
                )
                if ended.exit_code or ended.cause != "itself":
                    break
        finally:
            usage.finish()
        return step, ended

    def _tell_stop(self, cause: Cause) -> None:
        # a stop that was asked for is told by the service that was asked
        if cause == "time":
            self._story.tell("Stopping", OUT_OF_TIME)

    def _judge(self, step: Step, ended: Ended) -> Outcome:
        if ended.cause == "stop":
            return replace(_STOPPED, exit_code=ended.exit_code)
        if ended.cause == "time":
            return Outcome("Stopped", "MaxRuntimeExceeded", 0.0, exit_code=ended.exit_code)
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

    def _save(self, outcome: Outcome) -> Outcome:
        """After a failure only the output and the checkpoints, as in SageMaker; the model in every other case."""
        try:
            if outcome.secondary != "MaxRuntimeExceeded":  # a job out of time is Stopping until its end
                self._story.tell("Uploading", UPLOADING)
            self._finish_checkpoints()
            data = self._places.left("output/data")
            if data and any(data.iterdir()):
                self._upload("output/data", "output")
            if outcome.status == "Failed":
                return outcome
            return replace(outcome, artifacts=self._upload("model", "model"))
        except (Fault, OSError) as fault:
            if outcome.status == "Failed":
                self._story.note(f"The output could not be saved: {fault}")
                return outcome
            reason = (
                fault.reason
                if isinstance(fault, Fault)
                else f"InternalServerError: saving the model: {fault}"
            )
            return replace(outcome, status="Failed", secondary="Failed", reason=reason)

    def _finish_checkpoints(self) -> None:
        if self._checkpoints:
            self._checkpoints.finish()

    def _upload(self, folder: Literal["model", "output/data"], name: str) -> str:
        from clary.agent.package import upload_folder

        if not self._places.left(folder):
            self._story.note(f"/opt/ml/{folder} was gone or a link at the end; nothing in it was saved.")
            (self._folder / "nothing").mkdir(exist_ok=True)
        place = parse_uri(self._plan.output_s3_uri).below(self._plan.job_name).below("output")
        return upload_folder(
            self._s3,
            self._places.left(folder) or self._folder / "nothing",
            place,
            name,
            compression=self._plan.compression,
            seen=f"{self._places.seen_ml}/{folder}",
            note=self._story.note,
        )
