"""What an association can have at its ends, in one shape: artifacts, contexts, actions, components, experiments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from clary.domain.experiments import row_name
from clary.domain.kinds import COMPONENT, EXPERIMENT
from clary.services.lineage_rows import NOUNS
from clary.services.operations import Context
from clary.store.base import Link, Resource, Store

PLAIN = "lineage"  # the kind of a link whose association was given no type
EDGE_TYPES = ("ContributedTo", "AssociatedWith", "DerivedFrom", "Produced", "SameAs")
_OF_SERVICE = "SageMaker"
EDGES = frozenset({PLAIN, *EDGE_TYPES})

LINEAGE_TYPES: Mapping[str, str] = {
    **{noun.kind: noun.word for noun in NOUNS.values()},
    COMPONENT.name: "TrialComponent",
    EXPERIMENT.name: "Experiment",
}


@dataclass(frozen=True, slots=True)
class Entity:
    """`type` is the user's word, such as DataSet; for a component that of its source, such as SageMakerTrainingJob."""

    row: Resource
    lineage_type: str
    type: str
    name: str | None
    properties: Mapping[str, str]

    @property
    def short_type(self) -> str:
        """As QueryLineage has it, where a component of a training job is a TrainingJob."""
        return self.type.removeprefix(_OF_SERVICE) if self.row.kind == COMPONENT.name else self.type


def entity_of(row: Resource) -> Entity:
    lineage_type = LINEAGE_TYPES[row.kind]
    if noun := NOUNS.get(row.kind):
        told = {**row.spec, **row.state}
        name = told.get(noun.name_field)
        return Entity(row, lineage_type, told[noun.type_field], name, row.state.get("Properties", {}))
    source = row.state.get("Source", {})
    type_ = source.get("SourceType") or (
        "SageMakerExperimentTrialComponent" if row.kind == COMPONENT.name else "SageMakerExperiment"
    )
    return Entity(row, lineage_type, type_, row.spec.get(f"{lineage_type}Name"), {})


def find_entity(context: Context, arn: str) -> Resource | None:
    """ARNs are compared without case, as names are."""
    return entities(context.store, [arn]).get(arn.lower())


def entities(store: Store, arns: Iterable[str]) -> Mapping[str, Resource]:
    """Those that there are, by their ARNs in lower case."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    wanted: Collection[str] = {arn.lower() for arn in arns}
    for arn in wanted:
        kind = arn.rpartition(":")[2].partition("/")[0]
        if kind in LINEAGE_TYPES:
            names[kind].add(row_name(arn))
    rows = [row for kind, some in names.items() for row in store.get_many(kind, some).values()]
    return {row.arn.lower(): row for row in rows if row.arn.lower() in wanted}


def is_edge(link: Link) -> bool:
    return link.kind in EDGES


def edge_type(link: Link) -> dict[str, str]:
    """As a member of an answer: absent where none was given."""
    return {} if link.kind == PLAIN else {"AssociationType": link.kind}
