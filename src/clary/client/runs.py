"""Finds runs through the public API, with their metrics, their evaluation, and what they were made from.

A run is named by a job, a trial component, an evaluation's S3 URI, or a folder that holds one. A model is a run
together with the newest evaluation of it, whichever of the two jobs is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from clary.analytics.comparison import Figure, Run, common_metric, lower_is_better
from clary.client.evaluations import Evaluation, Folder, Prefix, Unreadable, read_evaluation
from clary.client.facts import Component, facts_of, facts_of_evaluation, model_inputs
from clary.domain.experiments import MODEL, SUFFIXES, component_name
from clary.domain.kinds import TUNING_JOB

MOST_FOUND = 20
MOST_READ = 60
MOST_NAMED = 5
MOST_FILTERS = 20  # of one Search
UNFOUND = frozenset({"ResourceNotFound", "ValidationException"})


class UnknownRun(Exception):
    """There is no run of that name; the message says what there is."""


@dataclass(frozen=True, slots=True)
class _Record:
    """A run, and the component of the training job whose model it evaluates, if it is an evaluation of one."""

    run: Run
    evaluates: str | None = None


@dataclass(slots=True)
class Runs:
    """Reads runs with clients of SageMaker and S3. `notes` gathers what the reader of a result should know."""

    sagemaker: Any
    s3: Any
    notes: list[str] = field(default_factory=list)
    # by the URI of a model: the components of jobs that read it, the newest first
    _readers: dict[str, list[Component]] = field(default_factory=dict)

    def read(self, name: str) -> Run:
        """Raises UnknownRun; evaluations.Unreadable."""
        if name.startswith("s3://"):
            return self._evaluated(name, read_evaluation(Prefix(self.s3, name)))
        folder = Path(name)
        if _is_folder(folder):
            return self._evaluated(name, read_evaluation(Folder(folder)))
        component = self._component(name)
        run = self._record(name, component).run
        if not run.figures:
            self._note(f"{name}{_state(component)} has no metrics, and no evaluation.json among its outputs")
        return run

    def of_experiment(self, name: str, metric: str | None) -> list[Run]:
        """The runs of an experiment that have figures: the newest, or the best by `metric`.

        An evaluation of a model that is a run of the experiment itself is told with the model. Raises UnknownRun.
        """
        order = {"SortBy": "CreationTime"}
        if metric:
            ascending = "Ascending" if lower_is_better(metric) else "Descending"
            order = {"SortBy": f"Metrics.{metric}.Last", "SortOrder": ascending}
        found = self._search([_is("Parents.ExperimentName", "Equals", name)], **order)
        before = len(self.notes)
        self._find_readers([model for each in found[:MOST_READ] if (model := _model(each))])
        records = [record for each in found[:MOST_READ] if (record := self._readable(each))]
        listed = {each["TrialComponentName"] for each in found}
        runs = [each.run for each in records if each.run.figures and each.evaluates not in listed]
        if not runs:
            raise UnknownRun(f"experiment {name!r} has no runs with metrics or an evaluation")
        kept = self._comparable(runs, metric)
        if len(kept) > MOST_FOUND or len(found) > MOST_READ:
            how = "first" if metric else "newest"
            self.notes.insert(before, f"the experiment has more runs: its {how} {MOST_FOUND} are compared")
        return kept[:MOST_FOUND]

    def experiment(self, name: str) -> str:
        """The name of the experiment that `name` means: its own, or a tuning job's. Raises UnknownRun."""
        for candidate in (name, component_name(TUNING_JOB.name, name)):
            try:
                self.sagemaker.describe_experiment(ExperimentName=candidate)
            except ClientError as refusal:
                if refusal.response["Error"]["Code"] not in UNFOUND:
                    raise
            else:
                return candidate
        found = self.sagemaker.list_experiments(MaxResults=MOST_NAMED)["ExperimentSummaries"]
        known = ", ".join(each["ExperimentName"] for each in found)
        there = f"there are: {known}" if known else "there is none"
        raise UnknownRun(f"{name!r} is no experiment ({there}): name two runs or more, or one experiment")

    # -- what is found

    def _comparable(self, runs: list[Run], metric: str | None) -> list[Run]:
        """Those that have the metric, or the metric that most have."""
        metric = metric or common_metric(runs)
        if metric is None:
            counted = Counter(name for run in runs for name in run.figures)
            metric = counted.most_common(1)[0][0]
            best = [run for run in runs if metric in run.figures]
            metric = common_metric(best) or metric
        kept = [run for run in runs if metric in run.figures]
        without = [run.name for run in runs if metric not in run.figures]
        if kept and without:
            self._note(f"left out, for they have no {metric}: {', '.join(without)}")
        return kept or runs

    def _component(self, name: str) -> Any:
        """By its own name, or by that of its job: a name that was used again means the newest job."""
        try:
            return self.sagemaker.describe_trial_component(TrialComponentName=name)
        except ClientError as refusal:
            if refusal.response["Error"]["Code"] not in UNFOUND:
                raise
        first = [_is("TrialComponentName", "Equals", component_name(kind, name)) for kind in SUFFIXES]
        sources = {each["Source"]["SourceArn"] for each in self._search(first) if "Source" in each}
        if sources:
            return self._search([_is("Source.SourceArn", "Equals", source) for source in sorted(sources)])[0]
        ending = f"-job/{name.lower()}"
        found = self._search([_is("Source.SourceArn", "Contains", ending)])
        for each in found:
            if each["Source"]["SourceArn"].lower().endswith(ending):
                return each
        raise UnknownRun(f"there is no run {name!r}; {self._known(name)}")

    def _known(self, name: str) -> str:
        found = self.sagemaker.list_trial_components(MaxResults=100)["TrialComponentSummaries"]
        names = list(dict.fromkeys(shown(each) for each in found))
        if not names:
            return "there is none at all"
        close = get_close_matches(name, names, MOST_NAMED)
        return f"is it {', '.join(close)}?" if close else f"the newest here: {', '.join(names[:MOST_NAMED])}"

    def _search(self, filters: Sequence[Mapping[str, str]], **order: str) -> list[Any]:
        """Components to which any of the filters applies, the newest first unless said."""
        answer = self.sagemaker.search(
            Resource="ExperimentTrialComponent",
            SearchExpression={"Filters": filters, "Operator": "Or"},
            MaxResults=100,
            **{"SortBy": "CreationTime", **order},
        )
        return [each["TrialComponent"] for each in answer["Results"]]

    # -- a run, a model and its evaluation taken together

    def _record(self, name: str, component: Component) -> _Record:
        """`component` as DescribeTrialComponent or Search gives it."""
        own = self._among(component)
        if own is not None:
            maker = self._maker(component)
            record = _Record(self._evaluated(name, own))
            if maker is None:
                return self._with(record, component, facts_of(component, self.s3))
            record = replace(record, evaluates=maker["TrialComponentName"])
            return self._with(record, component, self._facts_of_both(maker, component))
        evaluator, found = self._evaluator(component)
        record = _Record(self._evaluated(name, found) if found else Run(name, {}))
        if evaluator is None:
            return self._with(record, component, facts_of(component, self.s3))
        return self._with(record, component, self._facts_of_both(component, evaluator))

    def _readable(self, component: Component) -> _Record | None:
        """One broken evaluation, or a run that has nothing to compare, must not hide the experiment's others."""
        name = shown(component)
        try:
            record = self._record(name, component)
        except Unreadable as problem:
            self._note(f"left out: {problem}")
            return None
        state = _state(component)
        if not record.run.figures and (state or component.get("Metrics")):
            none = "no metrics that are finite numbers" if component.get("Metrics") else "no metrics"
            self._note(f"left out: {name}{state} has {none}")
        return record

    def _with(self, record: _Record, component: Component, facts: Mapping[str, str]) -> _Record:
        """What the evaluation says counts, not what the log said of a metric of the same name."""
        metrics = component.get("Metrics", ())
        logged = {each["MetricName"]: Figure(each["Last"]) for each in metrics if isfinite(each["Last"])}
        run = replace(record.run, figures={**logged, **record.run.figures}, facts=facts)
        return replace(record, run=run)

    def _facts_of_both(self, maker: Component, evaluator: Component) -> dict[str, str]:
        told = facts_of_evaluation(evaluator, self.s3, model=_model(maker))
        return {**facts_of(maker, self.s3), **told}

    def _evaluated(self, name: str, evaluation: Evaluation | None) -> Run:
        if evaluation is None:
            raise UnknownRun(f"{name} holds no evaluation.json")
        if evaluation.note:
            self._note(evaluation.note)
        return Run(name, evaluation.figures, {}, evaluation.predictions)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _maker(self, component: Component) -> Component | None:
        """Of an evaluation: the component of the job that made the model, the latest before it of that name."""
        for uri in model_inputs(component):
            for each in self._search([_is("OutputArtifacts", "Contains", uri)]):
                if _model(each) == uri and each["CreationTime"] <= component["CreationTime"]:
                    return each  # type: ignore[no-any-return]
        return None

    def _evaluator(self, component: Component) -> tuple[Component | None, Evaluation | None]:
        """Of a model: the newest evaluation of it, and the component of the job that made that."""
        model = _model(component)
        if model is None:
            return None, None
        if model not in self._readers:
            self._find_readers([model])
        for each in self._readers[model]:
            # an older one is of the model of an earlier job of this name
            if each["CreationTime"] >= component["CreationTime"] and (found := self._among(each)):
                return each, found
        return None, None

    def _find_readers(self, models: Sequence[str]) -> None:
        for first in range(0, len(models), MOST_FILTERS):
            asked = models[first : first + MOST_FILTERS]
            found = self._search([_is("InputArtifacts", "Contains", model) for model in asked])
            for model in asked:
                self._readers[model] = [each for each in found if model in model_inputs(each)]

    def _among(self, component: Component) -> Evaluation | None:
        for key, artifact in component.get("OutputArtifacts", {}).items():
            uri = artifact["Value"]
            if key != MODEL and uri.startswith("s3://") and (found := read_evaluation(Prefix(self.s3, uri))):
                return found
        return None


def _state(component: Component) -> str:
    """In words, where it tells why there are no metrics."""
    told = {"InProgress": " (still running)", "Failed": " (failed)", "Stopped": " (stopped)"}
    return told.get(component.get("Status", {}).get("PrimaryStatus", ""), "")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # longer than a name can be
        return False


def shown(component: Component) -> str:
    """The name by which people know it: its job's, where it has one. `component` may be a summary."""
    name = str(component["TrialComponentName"])
    for suffix in SUFFIXES.values():
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _is(name: str, operator: str, value: str) -> dict[str, str]:
    return {"Name": name, "Operator": operator, "Value": value}


def _model(component: Component) -> str | None:
    uri = component.get("OutputArtifacts", {}).get(MODEL, {}).get("Value")
    return str(uri) if uri else None
