"""What Search looks through: for each resource its rows, and its documents as far as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from botocore.model import StructureShape

from clary.domain.experiments import EXPERIMENT_LINK, SOURCE_LINK, TRIAL_LINK, row_name, series_of
from clary.domain.kinds import COMPONENT, EXPERIMENT, TRAINING_JOB, TRIAL, TUNING_JOB
from clary.services import training_describe, tuning_describe
from clary.services.experiment_rows import COMPONENTS, EXPERIMENTS, TRIALS, shown
from clary.services.experiments import metric_summary
from clary.services.operations import Context
from clary.services.search_paths import Property
from clary.services.search_terms import Group, Term
from clary.store.base import Page, Resource, Where
from clary.wire.models import service_model

Document = dict[str, Any]
Rows = Sequence[Resource]

EVERY_ROW = Where()
_AT_ONCE = 1000
_FEW = 100


@dataclass(frozen=True, slots=True)
class Extra:
    """A member that is read from elsewhere than the row, for many rows at once.

    `read` is given the rows and the names of the elements wanted (tags, metrics), or None for all.
    """

    read: Callable[[Context, Rows, frozenset[str] | None], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Source:
    """`member` is the resource's name in a SearchRecord; `own` makes what the row alone tells."""

    kind: str
    member: str
    shape_name: str
    own: Callable[[Context, Resource], Mapping[str, Any]]
    extras: Mapping[str, Extra] = field(default_factory=dict)
    narrow: Callable[[Context, Term], Rows | None] = lambda _context, _term: None

    @property
    def shape(self) -> StructureShape:
        return cast(StructureShape, service_model("sagemaker").shape_for(self.shape_name))

    def candidates(self, context: Context, condition: Group) -> Rows:
        """Rows among which are all that can fulfil the condition: fewer than there are, where a term names them."""
        for term in () if condition.any_of else condition.members:
            if not isinstance(term, Term) or term.operator != "Equals":
                continue
            if (rows := self.narrow(context, term)) is not None:
                return rows
        return list(all_rows(context, self.kind))

    def documents(
        self, context: Context, rows: Rows, named: Iterable[Property] | None = None
    ) -> Sequence[Document]:
        """With the members that `named` needs, or whole."""
        members = self.shape.members
        documents = [
            {
                key: value
                for key, value in self.own(context, row).items()
                if key in members and value is not None
            }
            for row in rows
        ]
        for name, extra in self.extras.items():
            wanted = _wanted(name, named)
            if wanted is None or wanted:
                for document, value in zip(documents, extra.read(context, rows, wanted), strict=True):
                    document[name] = value
        return documents


def all_rows(context: Context, kind: str, where: Where = EVERY_ROW) -> Iterable[Resource]:
    after: str | None = None
    while True:
        rows, after = context.store.list(kind, where, Page(sort="name", limit=_AT_ONCE, after=after))
        yield from rows
        if after is None:
            return


def _wanted(member: str, named: Iterable[Property] | None) -> frozenset[str] | None:
    """Names of the elements of a member that are needed; None for all, empty for none."""
    if named is None:
        return None
    elements = [found.element for found in named if found.top == member]
    return None if None in elements else frozenset(element for element in elements if element)


def read_tags(context: Context, rows: Rows, _wanted: frozenset[str] | None) -> Sequence[Any]:
    tags = context.store.tags_of([row.arn for row in rows])
    return [[{"Key": key, "Value": value} for key, value in tags.get(row.arn, {}).items()] for row in rows]


def read_metrics(context: Context, rows: Rows, wanted: frozenset[str] | None) -> Sequence[Any]:
    owners = {series: (row.arn, arn) for row in rows for series, arn in series_of(row).items()}
    found: dict[str, list[Any]] = {row.arn: [] for row in rows}
    for summary in context.store.summaries(owners, metrics=wanted):
        component, arn = owners[summary.series]
        found[component].append(metric_summary(summary, arn))
    return [found[row.arn] for row in rows]


def read_parents(context: Context, rows: Rows, _wanted: frozenset[str] | None) -> Sequence[Any]:
    links = (
        [link for row in rows for link in context.store.links(source=row.arn, kind=TRIAL_LINK)]
        if len(rows) <= _FEW
        else context.store.links(kind=TRIAL_LINK)
    )
    trials = context.store.get_many(TRIAL.name, {row_name(link.destination) for link in links})
    found: dict[str, list[Any]] = {}
    for link in links:
        if trial := trials.get(row_name(link.destination)):
            parent = {key: trial.spec[key] for key in ("TrialName", "ExperimentName")}
            found.setdefault(link.source, []).append(parent)
    return [found.get(row.arn, []) for row in rows]


def read_components(context: Context, rows: Rows, _wanted: frozenset[str] | None) -> Sequence[Any]:
    return [
        [_component_summary(each) for each in linked_rows(context, COMPONENT.name, TRIAL_LINK, row.arn)]
        for row in rows
    ]


def components_of(context: Context, term: Term) -> Rows | None:
    """The components of the trial, experiment or job that a term names; None where it names none."""
    match ".".join(step.what for step in term.property.steps if step.how == "member"):
        case "Parents.TrialName":
            return linked_rows(
                context, COMPONENT.name, TRIAL_LINK, context.account.sagemaker(TRIAL.name, term.text)
            )
        case "Parents.ExperimentName":
            experiment = context.account.sagemaker(EXPERIMENT.name, term.text)
            return linked_rows(context, COMPONENT.name, f"{TRIAL_LINK}/{EXPERIMENT_LINK}", experiment)
        case "Source.SourceArn":
            return linked_rows(context, COMPONENT.name, SOURCE_LINK, term.text)
    return None


def linked_rows(context: Context, kind: str, link: str, arn: str) -> Rows:
    return list(all_rows(context, kind, Where(links_to=(link, arn))))


def _component_summary(row: Resource) -> Document:
    return {
        "TrialComponentName": row.spec["TrialComponentName"],
        "TrialComponentArn": row.arn,
        "TrialComponentSource": row.state.get("Source"),
        "CreationTime": row.created,
    }


def _component(_context: Context, row: Resource) -> Mapping[str, Any]:
    return {**shown(COMPONENTS, row), "RunName": row.state.get("RunName")}


def _trial(_context: Context, row: Resource) -> Mapping[str, Any]:
    return {**shown(TRIALS, row), "ExperimentName": row.spec["ExperimentName"]}


def _experiment(_context: Context, row: Resource) -> Mapping[str, Any]:
    return shown(EXPERIMENTS, row)


def _training_job(_context: Context, row: Resource) -> Mapping[str, Any]:
    return training_describe.describe(row)


TAGS = Extra(read_tags)

SOURCES: Mapping[str, Source] = {
    "TrainingJob": Source(TRAINING_JOB.name, "TrainingJob", "TrainingJob", _training_job, {"Tags": TAGS}),
    "HyperParameterTuningJob": Source(
        TUNING_JOB.name,
        "HyperParameterTuningJob",
        "HyperParameterTuningJobSearchEntity",
        tuning_describe.describe,
        {"Tags": TAGS},
    ),
    "Experiment": Source(EXPERIMENT.name, "Experiment", "Experiment", _experiment, {"Tags": TAGS}),
    "ExperimentTrial": Source(
        TRIAL.name,
        "Trial",
        "Trial",
        _trial,
        {"Tags": TAGS, "TrialComponentSummaries": Extra(read_components)},
    ),
    "ExperimentTrialComponent": Source(
        COMPONENT.name,
        "TrialComponent",
        "TrialComponent",
        _component,
        {"Tags": TAGS, "Metrics": Extra(read_metrics), "Parents": Extra(read_parents)},
        components_of,
    ),
}
