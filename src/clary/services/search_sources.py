"""What Search looks through: for each resource its rows, and its documents as far as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from botocore.model import StructureShape

from clary.domain.endpoints import current
from clary.domain.experiments import EXPERIMENT_LINK, SOURCE_LINK, TRIAL_LINK, row_name, series_of
from clary.domain.kinds import COMPONENT, ENDPOINT, EXPERIMENT, MODEL, TRAINING_JOB, TRIAL, TUNING_JOB
from clary.services import endpoint_describe, models, training_describe, tuning_describe
from clary.services.experiment_rows import COMPONENTS, EXPERIMENTS, TRIALS, shown
from clary.services.experiments import metric_summary
from clary.services.operations import Context
from clary.services.search_paths import Property
from clary.services.search_terms import Group, Term
from clary.store.base import Head, Resource, Where
from clary.wire.models import service_model

Document = dict[str, Any]
Heads = Sequence[Head]
# reads a member from elsewhere than the row, for many at once: given the names of the elements wanted (tags, metrics),
# or None for all
Reader = Callable[[Context, Heads, frozenset[str] | None], Sequence[Any]]
# what a SearchRecord holds of each, where that is more than the document that conditions are about
Recorder = Callable[[Context, Sequence[Document]], Sequence[Document]]

# what every resource shows of its narrow columns
_TIMES = {"CreationTime": "created", "LastModifiedTime": "modified"}


@dataclass(frozen=True, slots=True)
class Source:
    """What Search finds of one kind.

    `member` is the resource's name in a SearchRecord. `columns` are its members that the narrow columns tell, `own`
    makes what the whole row tells, `extras` are read from elsewhere. `narrow` gives the rows that a term is about,
    where there are links to find them by. `folded`: members with names that are compared without case. `sort` is the
    property that they are in order of, unless asked otherwise.
    """

    kind: str
    member: str
    shape_name: str
    columns: Mapping[str, str]
    own: Callable[[Context, Resource], Mapping[str, Any]]
    extras: Mapping[str, Reader] = field(default_factory=dict)
    narrow: Callable[[Context, Term], Where | None] = lambda _context, _term: None
    folded: tuple[str, ...] = ()
    sort: str = "LastModifiedTime"
    records: Recorder = lambda _context, documents: documents

    @property
    def shape(self) -> StructureShape:
        return cast(StructureShape, service_model("sagemaker").shape_for(self.shape_name))

    def narrowed(self, context: Context, condition: Group) -> tuple[Where, Group]:
        """Where to look, and what is left to be decided: a term that a link answers needs no look at all."""
        condition = condition.folded(self.folded)
        needed = () if condition.any_of and len(condition.members) > 1 else condition.members
        terms = [each for each in needed if isinstance(each, Term) and each.operator == "Equals"]
        where, left = Where(), condition
        for term in terms:
            if (linked := self.narrow(context, term)) is not None:
                where, left = linked, Group([each for each in condition.members if each is not term])
                break
        name = next((term.text for term in terms if self.columns.get(term.property.top) == "name"), None)
        return replace(where, name_prefix=name), left

    def is_quick(self, properties: Iterable[Property]) -> bool:
        """Whether these can be told without reading whole rows."""
        return all(found.top in self.extras or found.top in self.columns for found in properties)

    def look(self, context: Context, heads: Heads, named: Sequence[Property]) -> Sequence[Document | None]:
        """Documents with what `named` needs, from the heads alone where they tell it; names in lower case."""
        if self.is_quick(named):
            documents: Sequence[Document | None] = [
                {member: getattr(head, column) for member, column in self.columns.items()} for head in heads
            ]
            self._add(context, heads, documents, named)
        else:
            documents = self.documents(context, heads, named)
        for member in {found.top for found in named}.intersection(self.folded):
            for document in documents:
                if document is not None and member in document:
                    document[member] = _folded(document[member])
        return documents

    def documents(
        self, context: Context, heads: Heads, named: Iterable[Property] | None = None
    ) -> Sequence[Document | None]:
        """With the members that `named` needs, or whole. None for a row that has gone."""
        rows = context.store.get_many(self.kind, [head.name for head in heads])
        members = self.shape.members
        documents: list[Document | None] = [
            {
                key: value
                for key, value in self.own(context, row).items()
                if key in members and value is not None
            }
            if (row := rows.get(head.name))
            else None
            for head in heads
        ]
        self._add(context, heads, documents, named)
        return documents

    def _add(
        self,
        context: Context,
        heads: Heads,
        documents: Sequence[Document | None],
        named: Iterable[Property] | None,
    ) -> None:
        for name, read in self.extras.items():
            wanted = _wanted(name, named)
            if wanted is None or wanted:
                for document, value in zip(documents, read(context, heads, wanted), strict=True):
                    if document is not None:
                        document[name] = value


def _folded(value: Any) -> Any:
    """A name in lower case, or a list of structures of names."""
    if isinstance(value, str):
        return value.lower()
    return [{key: name.lower() for key, name in each.items()} for each in value]


def _wanted(member: str, named: Iterable[Property] | None) -> frozenset[str] | None:
    """Names of the elements of a member that are needed; None for all, empty for none."""
    if named is None:
        return None
    elements = [found.element for found in named if found.top == member]
    return None if None in elements else frozenset(element for element in elements if element)


def read_tags(context: Context, heads: Heads, _wanted: frozenset[str] | None) -> Sequence[Any]:
    tags = context.store.tags_of([head.arn for head in heads])
    return [[{"Key": key, "Value": value} for key, value in tags.get(head.arn, {}).items()] for head in heads]


def read_metrics(context: Context, heads: Heads, wanted: frozenset[str] | None) -> Sequence[Any]:
    owners = {f"{COMPONENT.name}/{head.name}": (head.name, head.arn) for head in heads}
    made_by_jobs = {
        link.source for link in context.store.links_from([head.arn for head in heads], kind=SOURCE_LINK)
    }
    rows = context.store.get_many(COMPONENT.name, [head.name for head in heads if head.arn in made_by_jobs])
    for row in rows.values():
        owners |= {series: (row.name, arn) for series, arn in series_of(row).items()}
    found: dict[str, list[Any]] = {head.name: [] for head in heads}
    for summary in context.store.summaries(owners, metrics=wanted):
        component, arn = owners[summary.series]
        found[component].append(metric_summary(summary, arn))
    return list(found.values())


def read_parents(context: Context, heads: Heads, _wanted: frozenset[str] | None) -> Sequence[Any]:
    links = context.store.links_from([head.arn for head in heads], kind=TRIAL_LINK)
    trials = context.store.get_many(TRIAL.name, {row_name(link.destination) for link in links})
    found: dict[str, list[Any]] = {}
    for link in links:
        if trial := trials.get(row_name(link.destination)):
            parent = {key: trial.spec[key] for key in ("TrialName", "ExperimentName")}
            found.setdefault(link.source, []).append(parent)
    return [found.get(head.arn, []) for head in heads]


def read_components(context: Context, heads: Heads, _wanted: frozenset[str] | None) -> Sequence[Any]:
    return [_component_summaries(context, head) for head in heads]


def _component_summaries(context: Context, trial: Head) -> list[Document]:
    inside = Where(links_to=(TRIAL_LINK, trial.arn))
    names = [head.name for head in context.store.heads(COMPONENT.name, inside)]
    return [
        {
            "TrialComponentName": row.spec["TrialComponentName"],
            "TrialComponentArn": row.arn,
            "TrialComponentSource": row.state.get("Source"),
            "CreationTime": row.created,
        }
        for row in context.store.get_many(COMPONENT.name, names).values()
    ]


def components_of(context: Context, term: Term) -> Where | None:
    """The components of the trial, experiment or job that a term names; None where it names none."""
    match ".".join(step.what for step in term.property.steps if step.how == "member"):
        case "Parents.TrialName":
            return Where(links_to=(TRIAL_LINK, context.account.sagemaker(TRIAL.name, term.text)))
        case "Parents.ExperimentName":
            experiment = context.account.sagemaker(EXPERIMENT.name, term.text)
            return Where(links_to=(f"{TRIAL_LINK}/{EXPERIMENT_LINK}", experiment))
        case "Source.SourceArn":
            return Where(links_to=(SOURCE_LINK, term.text))
    return None


def _component(_context: Context, row: Resource) -> Mapping[str, Any]:
    return {**shown(COMPONENTS, row), "RunName": row.state.get("RunName")}


def _trial(_context: Context, row: Resource) -> Mapping[str, Any]:
    return {**shown(TRIALS, row), "ExperimentName": row.spec["ExperimentName"]}


def _experiment(_context: Context, row: Resource) -> Mapping[str, Any]:
    return shown(EXPERIMENTS, row)


def _training_job(_context: Context, row: Resource) -> Mapping[str, Any]:
    return training_describe.describe(row)


def _endpoint(_context: Context, row: Resource) -> Mapping[str, Any]:
    return endpoint_describe.describe(row)


def _model(_context: Context, row: Resource) -> Mapping[str, Any]:
    return models.describe(row)


def with_endpoints(context: Context, documents: Sequence[Document]) -> Sequence[Document]:
    """Models, each with the endpoints that serve it."""
    names = [head.name for head in context.store.heads(ENDPOINT.name, Where())]
    found: dict[str, list[Document]] = {document["ModelName"]: [] for document in documents}
    for row in context.store.get_many(ENDPOINT.name, names).values():
        shown = endpoint_describe.summary(row)
        for name in found.keys() & current(row.state)["models"].keys():
            found[name].append(shown)
    return [{"Model": document, "Endpoints": found[document["ModelName"]]} for document in documents]


def _columns(noun: str, *, has_status: bool = False) -> Mapping[str, str]:
    """Which members of a resource are columns, from its name in its members' names."""
    status = {f"{noun}Status": "status"} if has_status else {}
    return {**_TIMES, f"{noun}Name": "name", f"{noun}Arn": "arn", **status}


SOURCES: Mapping[str, Source] = {
    "TrainingJob": Source(
        TRAINING_JOB.name,
        "TrainingJob",
        "TrainingJob",
        _columns("TrainingJob", has_status=True),
        _training_job,
        {"Tags": read_tags},
    ),
    "HyperParameterTuningJob": Source(
        TUNING_JOB.name,
        "HyperParameterTuningJob",
        "HyperParameterTuningJobSearchEntity",
        _columns("HyperParameterTuningJob", has_status=True),
        tuning_describe.describe,
        {"Tags": read_tags},
    ),
    "Endpoint": Source(
        ENDPOINT.name,
        "Endpoint",
        "Endpoint",
        _columns("Endpoint", has_status=True),
        _endpoint,
        {"Tags": read_tags},
    ),
    "Model": Source(
        MODEL.name,
        "Model",
        "Model",
        _columns("Model"),
        _model,
        {"Tags": read_tags},
        sort="CreationTime",
        records=with_endpoints,
    ),
    "Experiment": Source(
        EXPERIMENT.name,
        "Experiment",
        "Experiment",
        _columns("Experiment"),
        _experiment,
        {"Tags": read_tags},
        folded=("ExperimentName",),
    ),
    "ExperimentTrial": Source(
        TRIAL.name,
        "Trial",
        "Trial",
        _columns("Trial"),
        _trial,
        {"Tags": read_tags, "TrialComponentSummaries": read_components},
        folded=("TrialName", "ExperimentName"),
    ),
    "ExperimentTrialComponent": Source(
        COMPONENT.name,
        "TrialComponent",
        "TrialComponent",
        _columns("TrialComponent"),
        _component,
        {"Tags": read_tags, "Metrics": read_metrics, "Parents": read_parents},
        components_of,
        folded=("TrialComponentName", "Parents"),
    ),
}
