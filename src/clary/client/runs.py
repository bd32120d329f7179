"""What is known of a run, read through the public API: its metrics, its evaluation, and what it was made from.

A run is named by a trial component, by the job that made it, by an evaluation's S3 URI, or by a folder that holds one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from clary.analytics.comparison import Figure, Run
from clary.client.archives import file_digests
from clary.client.evaluations import Evaluation, Folder, Prefix, read_evaluation

JOB_SUFFIXES = ("-aws-training-job", "-aws-processing-job", "-aws-tuning-job", "-aws-transform-job")
MODEL = "SageMaker.ModelArtifact"
SOURCE = "sagemaker_submit_directory"
# where a job's program and its results lie is different for every job, and says nothing about the run
UNTOLD = frozenset({"sagemaker_job_name", SOURCE, MODEL})
CODE_INPUTS = frozenset({"code", "sm_drivers", "entrypoint"})
MOST_OBJECTS = 1000
MOST_CODE_BYTES = 64 * 1024 * 1024
MOST_FOUND = 20


class UnknownRun(Exception):
    """There is no run of that name; the message says what there is."""


@dataclass(slots=True)
class Runs:
    """Reads runs with clients of SageMaker and S3. `notes` gathers what the reader of a result should know."""

    sagemaker: Any
    s3: Any
    notes: list[str] = field(default_factory=list)

    def read(self, name: str) -> Run:
        """Raises UnknownRun; evaluations.Unreadable."""
        if name.startswith("s3://"):
            return self._evaluated(name, read_evaluation(Prefix(self.s3, name)))
        folder = Path(name)
        if folder.is_dir():
            return self._evaluated(name, read_evaluation(Folder(folder)))
        return self.read_component(name, self._component(name))

    def read_component(self, name: str, component: Mapping[str, Any]) -> Run:
        """`component` as DescribeTrialComponent or Search gives it."""
        figures = {each["MetricName"]: Figure(each["Last"]) for each in component.get("Metrics", ())}
        evaluation = self._evaluation(component)
        if evaluation is None:
            return Run(name, figures, dict(self._facts(component)))
        self._note(evaluation)
        return Run(
            name, {**evaluation.figures, **figures}, dict(self._facts(component)), evaluation.predictions
        )

    def of_experiment(self, experiment: str, metric: str | None) -> list[Run]:
        """The runs of an experiment: the best by `metric`, or the newest where none is named. Raises UnknownRun."""
        order = {"SortBy": f"Metrics.{metric}.Last"} if metric else {"SortBy": "CreationTime"}
        found = self._search(
            [{"Name": "Parents.ExperimentName", "Operator": "Equals", "Value": experiment}], **order
        )
        if not found:
            raise UnknownRun(f"there is no experiment {experiment!r}, or it has no runs")
        return [self.read_component(each["TrialComponentName"], each) for each in found[:MOST_FOUND]]

    def is_experiment(self, name: str) -> bool:
        try:
            self.sagemaker.describe_experiment(ExperimentName=name)
        except ClientError:
            return False
        return True

    def _evaluated(self, name: str, evaluation: Evaluation | None) -> Run:
        if evaluation is None:
            raise UnknownRun(f"{name} holds no evaluation.json")
        self._note(evaluation)
        return Run(name, evaluation.figures, {}, evaluation.predictions)

    def _note(self, evaluation: Evaluation) -> None:
        if evaluation.note and evaluation.note not in self.notes:
            self.notes.append(evaluation.note)

    def _component(self, name: str) -> Any:
        for candidate in (name, *(f"{name}{suffix}" for suffix in JOB_SUFFIXES)):
            try:
                return self.sagemaker.describe_trial_component(TrialComponentName=candidate)
            except ClientError as refusal:
                if refusal.response["Error"]["Code"] not in {"ResourceNotFound", "ValidationException"}:
                    raise
        found = self.sagemaker.list_trial_components(MaxResults=5)["TrialComponentSummaries"]
        newest = ", ".join(each["TrialComponentName"] for each in found)
        known = f"the newest here: {newest}" if found else "there is none at all"
        raise UnknownRun(f"there is no run {name!r}; {known}")

    def _search(self, filters: Sequence[Mapping[str, str]], **order: str) -> list[Any]:
        answer = self.sagemaker.search(
            Resource="ExperimentTrialComponent",
            SearchExpression={"Filters": filters},
            MaxResults=100,
            **order,
        )
        return [each["TrialComponent"] for each in answer["Results"]]

    # -- evaluations

    def _evaluation(self, component: Mapping[str, Any]) -> Evaluation | None:
        """Its own, or the newest that a processing job made of its model."""
        own = self._among(component)
        model = component.get("OutputArtifacts", {}).get(MODEL, {}).get("Value")
        if own or not model:
            return own
        using = self._search(
            [{"Name": "InputArtifacts", "Operator": "Contains", "Value": model}], SortBy="CreationTime"
        )
        return next((found for each in using if (found := self._among(each))), None)

    def _among(self, component: Mapping[str, Any]) -> Evaluation | None:
        for key, artifact in component.get("OutputArtifacts", {}).items():
            uri = artifact["Value"]
            if key != MODEL and uri.startswith("s3://") and (found := read_evaluation(Prefix(self.s3, uri))):
                return found
        return None

    # -- what it was made from

    def _facts(self, component: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        parameters = component.get("Parameters", {})
        for name, value in parameters.items():
            if name not in UNTOLD:
                yield name, _said(value)
        for name, artifact in component.get("InputArtifacts", {}).items():
            uri = artifact["Value"]
            if name not in CODE_INPUTS:
                yield f"data: {name}" if uri.startswith("s3://") else name, self._content(uri)
        source = _said(parameters.get(SOURCE, {})).strip('"')
        if source.startswith("s3://"):
            for path, digest in self._code(source).items():
                yield f"code: {path}", digest

    def _content(self, uri: str) -> str:
        """What lies at a URI, told by its content: the SDKs put the same data elsewhere for every job."""
        if not uri.startswith("s3://"):
            return uri
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            answer = self.s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=MOST_OBJECTS)
        except ClientError:
            return uri
        objects = answer.get("Contents", [])
        if not objects or answer.get("IsTruncated"):
            return uri
        known = sorted((each["Key"].removeprefix(key), each["ETag"], each["Size"]) for each in objects)
        size = sum(each["Size"] for each in objects)
        files = "1 file" if len(objects) == 1 else f"{len(objects)} files"
        return f"{files}, {size:,} bytes, {sha256(repr(known).encode()).hexdigest()[:8]}"

    def _code(self, uri: str) -> Mapping[str, str]:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            answer = self.s3.get_object(Bucket=bucket, Key=key)
        except ClientError:
            return {}
        with answer["Body"] as body:
            return file_digests(body.read()) if answer["ContentLength"] <= MOST_CODE_BYTES else {}


def _said(value: Mapping[str, Any]) -> str:
    number = value.get("NumberValue")
    return f"{number:.10g}" if number is not None else str(value.get("StringValue", ""))
