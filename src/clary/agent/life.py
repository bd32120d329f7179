"""The life of one job: stage -> run -> save, told as a story, ended by an outcome.

What differs between kinds of jobs is their `Work`.

Modules that few jobs need, or only at their end, are imported there: the program starts sooner.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from clary.agent import contract
from clary.agent.contract import Outcome, Plan
from clary.agent.environment import program_environment
from clary.agent.faults import Fault, Interrupted
from clary.agent.layer import build
from clary.agent.metric_files import MetricFiles
from clary.agent.metrics import Metrics
from clary.agent.output import Log
from clary.agent.places import Places
from clary.agent.run import Cause, Ended, Watch, run
from clary.agent.s3 import S3
from clary.agent.story import Clock, Lines, Story
from clary.agent.toolkit import Program, Step
from clary.agent.usage import Usage
from clary.agent.work import Work

_LOG_OF_INSTANCE = 128 << 20  # bytes: it serves for months
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
        # until the program runs, a stop request ends any waiting; afterwards what it left is saved all the same
        self._early_s3 = S3(plan.access, interrupted=stop_asked, clock=clock)
        self._work = self._open_work(S3(plan.access, clock=clock))

    def live(self) -> Outcome:
        """Never raises for what the job is at fault for: that is an outcome too."""
        started = self._clock()
        try:
            program = self._work.stage(self._early_s3)
            outcome = self._carry_out(program)
        except Fault as fault:
            outcome = Outcome("Failed", "Failed", 0.0, reason=fault.reason)
        except Interrupted:
            outcome = _STOPPED
        self._say_notes()
        now = self._clock()
        return replace(outcome, at=now, ended=now, started=started, notes=tuple(self._story.notes))

    @cached_property
    def _log(self) -> Log:
        """Its file is there from the first look at it."""
        metrics = Metrics(
            self._plan.metric_definitions, Lines(self._folder / contract.METRICS), self._story.note
        )
        lines = Lines(self._folder / contract.LOGS / f"{self._plan.host}.log")
        keep = _LOG_OF_INSTANCE if self._plan.work == "serving" else None
        return Log(lines, self._clock, metrics.search, keep=keep)

    def _say_notes(self) -> None:
        """At the end of the job's log, where its user looks."""
        if self._story.notes:
            self._say(*self._story.notes)

    def _say(self, *texts: str) -> None:
        lines = [text.encode("utf-8", "backslashreplace") for text in texts]
        self._log.write([b"clary: " + line.replace(b"\n", b"\\n") for line in lines])

    def _carry_out(self, program: Program) -> Outcome:
        plan, work = self._plan, self._work
        base = build(plan.python, self._places.env)
        common = program_environment(plan, self._places, base, self._outside, work.variables)
        environment = common | dict(program.variables)
        if self._stop_asked():
            raise Interrupted
        self._warn_of_hosts()
        self._story.tell(work.running, f"{work.message} (isolation: {plan.isolation})")
        try:
            step, ended = self._run_steps(program, environment)
        except Fault:
            work.abandon()
            raise
        return self._save(self._judge(step, ended))

    def _warn_of_hosts(self) -> None:
        if len(self._plan.hosts) > 1 and not self._places.confined:
            self._story.note(
                "Without bubblewrap the job's host names do not resolve: each host is this machine (127.0.0.1)."
            )

    def _run_steps(self, program: Program, environment: Mapping[str, str]) -> tuple[Step, Ended]:
        plan, folder = self._plan, self._folder
        usage = Usage(
            folder,
            Lines(folder / contract.USAGE),
            host=plan.host,
            gpus=plan.gpus,
            period_s=plan.usage_period_s,
            clock=self._clock,
        )
        files = MetricFiles(
            self._places, Lines(folder / contract.METRICS), self._story.note, clock=self._clock
        )
        watch = Watch(
            deadline=time.monotonic() + plan.max_runtime_s,
            grace_s=plan.grace_s,
            stop_asked=self._stop_asked,
            is_done=self._work.is_done,
            on_stop=self._tell_stop,
        )
        usage.start()
        files.start()
        self._work.start()
        try:
            for step in program.steps:
                ended = run(
                    step.argv,
                    cwd=step.cwd,
                    environment=environment,
                    sandbox=plan.sandbox,
                    log=self._log,
                    watch=watch,
                )
                if ended.exit_code or ended.cause != "itself":
                    break
        finally:
            usage.finish()
            files.finish()
        return step, ended

    def _tell_stop(self, cause: Cause) -> None:
        # a stop that was asked for is told by the service that was asked
        if cause == "time":
            self._story.tell("Stopping", self._work.out_of_time)

    def _judge(self, step: Step, ended: Ended) -> Outcome:
        if ended.cause == "stop":
            return replace(_STOPPED, exit_code=ended.exit_code)
        if ended.cause == "time":
            return Outcome("Stopped", "MaxRuntimeExceeded", 0.0, exit_code=ended.exit_code)
        return self._work.judge(step, ended)

    def _save(self, outcome: Outcome) -> Outcome:
        try:
            # a job out of time is Stopping until its end
            if self._work.uploading and outcome.secondary != "MaxRuntimeExceeded":
                self._story.tell("Uploading", self._work.uploading)
            return self._work.save(outcome)
        except (Fault, OSError) as fault:
            if outcome.status == "Failed":
                self._story.note(f"The output could not be saved: {fault}")
                return outcome
            reason = (
                fault.reason
                if isinstance(fault, Fault)
                else f"InternalServerError: saving what the program left: {fault}"
            )
            return replace(outcome, status="Failed", secondary="Failed", reason=reason)

    def _open_work(self, s3: S3) -> Work:
        """`s3` is the client to save with."""
        plan, places, story = self._plan, self._places, self._story
        if plan.work == "processing":
            from clary.agent.processing import Processing

            return Processing(plan, places, s3, story)
        if plan.work == "serving":
            from clary.agent.serving import Serving

            return Serving(plan, places, story)
        if plan.work == "transform":
            from clary.agent.transform import Transform

            s3 = self._early_s3  # an object that is not done when a stop comes is not saved
            return Transform(plan, places, story, s3=s3, stop_asked=self._stop_asked, tell=self._say)
        from clary.agent.training import Training

        return Training(plan, places, s3, story)
