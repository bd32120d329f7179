"""The published API models, loaded once each, and the tables that routing needs from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from urllib.parse import parse_qsl

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

Protocol = Literal["json", "query", "rest-json", "rest-xml"]

# Every service on the port, by botocore's name, with the protocol it speaks when no X-Amz-Target header says JSON.
SERVICES: Mapping[str, Protocol] = {
    "sagemaker": "json",
    "logs": "json",
    "cloudwatch": "query",
    "sts": "query",
    "iam": "query",
    "s3": "rest-xml",
    "sagemaker-runtime": "rest-json",
    "sagemaker-metrics": "rest-json",
    "application-autoscaling": "json",
}

# The service part of a credential scope, where it is not botocore's name.
SIGNING_NAMES: Mapping[str, str] = {"monitoring": "cloudwatch", "s3express": "s3"}

TARGET_PREFIXES: Mapping[str, str] = {
    "SageMaker": "sagemaker",
    "Logs_20140328": "logs",
    "GraniteServiceVersion20100801": "cloudwatch",
    "AnyScaleFrontendService": "application-autoscaling",
}


@cache
def _loader() -> Loader:
    # botocore's own data only: what a user keeps in ~/.aws/models is about the clients of that user.
    return Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)


@cache
def service_model(service: str) -> ServiceModel:
    """The model of a service named as botocore names it. The first call for a service reads the file."""
    return ServiceModel(_loader().load_service_model(service, "service-2"), service)


@cache
def operation_model(service: str, name: str) -> OperationModel | None:
    """The model of one operation, or None if the service or the operation is not published."""
    if service not in SERVICES:
        return None
    model = service_model(service)
    return model.operation_model(name) if name in _operation_names(service) else None


@cache
def _operation_names(service: str) -> frozenset[str]:
    return frozenset(service_model(service).operation_names)


@dataclass(frozen=True, slots=True)
class RestRule:
    """What a REST request must look like to be `operation`.

    `segments` are the parts of the path template, `literals` the fixed query pairs, `query` and `headers` the
    names of required members that travel there.
    """

    operation: str
    method: str
    segments: tuple[str, ...]
    literals: tuple[tuple[str, str], ...]
    query: frozenset[str]
    headers: frozenset[str]

    def asks(self, query: Mapping[str, str]) -> bool:
        """Whether the query string has all that this rule needs."""
        has_literals = all(name in query and value in ("", query[name]) for name, value in self.literals)
        return has_literals and all(name in query for name in self.query)

    def weight(self, header_names: Iterable[str]) -> int:
        """How much of the request the rule explains: of two that fit, the heavier one is meant."""
        given = self.headers <= set(header_names)
        return 10 * (len(self.literals) + len(self.query)) + (len(self.headers) if given else -1)


@cache
def rest_rules(service: str) -> Mapping[str, tuple[RestRule, ...]]:
    """The rules of a REST service, by HTTP method."""
    rules: dict[str, list[RestRule]] = {}
    for name in service_model(service).operation_names:
        operation = service_model(service).operation_model(name)
        if not operation.deprecated:  # each has a successor that looks the same on the wire
            rule = _rest_rule(operation)
            rules.setdefault(rule.method, []).append(rule)
    return {method: tuple(found) for method, found in rules.items()}


def _rest_rule(operation: OperationModel) -> RestRule:
    path, _, query = str(operation.http["requestUri"]).partition("?")
    required: dict[str, set[str]] = {"querystring": set(), "header": set()}
    for member, shape in _required_members(operation):
        location = shape.serialization.get("location")
        if location in required:
            required[location].add(shape.serialization.get("name", member))
    return RestRule(
        operation=operation.name,
        method=operation.http["method"],
        segments=tuple(path.strip("/").split("/")) if path.strip("/") else (),
        literals=tuple(pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "x-id"),
        query=frozenset(required["querystring"]),
        headers=frozenset(name.lower() for name in required["header"]),
    )


def _required_members(operation: OperationModel) -> list[tuple[str, Any]]:
    shape = operation.input_shape
    if shape is None:
        return []
    return [(name, shape.members[name]) for name in shape.required_members]
