"""Endpoints' metrics: dimensions and units as CloudWatch has them, and the series in which they lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clary.domain.endpoints import current
from clary.domain.kinds import ENDPOINT
from clary.store.base import Resource

INVOCATIONS = "AWS/SageMaker"
UTILISATION = "/aws/sagemaker/Endpoints"
NAMESPACES = (INVOCATIONS, UTILISATION)

USAGE_UNIT = "Percent"

_UNITS: Mapping[str, str] = {
    **dict.fromkeys(("ModelLatency", "OverheadLatency", "ModelSetupTime"), "Microseconds"),
    **dict.fromkeys(("TimeInBacklog", "TotalProcessingTime", "RequestDownloadLatency"), "Milliseconds"),
    **dict.fromkeys(
        ("ApproximateBacklogSize", "ApproximateBacklogSizePerInstance", "HasBacklogWithoutCapacity"), "Count"
    ),
    "ApproximateAgeOfOldestRequest": "Seconds",
}


def series_of(namespace: str, dimensions: Mapping[str, str]) -> str | None:
    """None for dimensions that no metric of the namespace has.

    What the router counts has an endpoint and a variant; what is told of an asynchronous endpoint's backlog only an
    endpoint. Utilisation is that of all instances of a variant.
    """
    names = set(dimensions)
    if names == {"EndpointName"} and namespace == INVOCATIONS:
        return f"{ENDPOINT.name}/{dimensions['EndpointName']}"
    if names != {"EndpointName", "VariantName"}:
        return None
    series = f"{ENDPOINT.name}/{dimensions['EndpointName']}/{dimensions['VariantName']}"
    return f"{series}/algo-1" if namespace == UTILISATION else series


def unit_of(namespace: str, metric: str) -> str:
    return USAGE_UNIT if namespace == UTILISATION else _UNITS.get(metric, "None")


def dimensions_of(endpoint: Resource) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Namespaces and dimensions under which an endpoint may have metrics."""
    yield INVOCATIONS, {"EndpointName": endpoint.name}
    for variant in current(endpoint.state)["variants"]:
        dimensions = {"EndpointName": endpoint.name, "VariantName": variant}
        yield INVOCATIONS, dimensions
        yield UTILISATION, dimensions
