"""How DescribeEndpoint and Search show an endpoint: its row, told in the members of the published shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.domain.endpoints import container_of, current, instances_of, variant_of
from clary.services.endpoint_reports import told
from clary.store.base import Resource

Document = Mapping[str, Any]

# by generation and variant, what each instance does that does not answer yet, and how the last one failed
Starting = Mapping[tuple[str, str], Sequence[str]]

NOTHING: Starting = {}
LONGEST_MESSAGE = 1024

# what a generation that is built is doing, by the phase of its update
PHASES = {"building": "Creating", "waiting": "Baking", "keeping": "ActivatingTraffic"}


def describe(row: Resource, starting: Starting = NOTHING) -> dict[str, Any]:
    """The members of DescribeEndpointOutput that are known by now.

    `starting`: what those of its instances do that are on their way.
    """
    state, present = row.state, current(row.state)
    shown = {
        **summary(row),
        "EndpointConfigName": present["config_name"],
        "ProductionVariants": _variants(row, state["live"] or state["target"], starting),
        "DataCaptureConfig": _capture(row, present["config"].get("DataCaptureConfig")),
        "AsyncInferenceConfig": present["config"].get("AsyncInferenceConfig"),
        "LastDeploymentConfig": present["deployment"] or None,
        "PendingDeploymentSummary": _pending(row, starting),
        "FailureReason": state["reason"][:LONGEST_MESSAGE] if state.get("reason") else None,
    }
    return {key: value for key, value in shown.items() if value is not None}


def is_short(row: Resource) -> bool:
    """Whether an endpoint in service lacks instances: they were lost, or there was no room."""
    if row.status != "InService":
        return False
    key = row.state["live"]
    return any(_Variant(row, key, name, NOTHING).is_short for name in current(row.state)["variants"])


def summary(row: Resource) -> dict[str, Any]:
    """What lists tell of an endpoint."""
    return {
        "EndpointName": row.name,
        "EndpointArn": row.arn,
        "CreationTime": row.created,
        "LastModifiedTime": row.modified,
        "EndpointStatus": row.status,
    }


def _pending(row: Resource, starting: Starting) -> dict[str, Any] | None:
    """The generation that is to come, while it is on its way."""
    if row.status not in {"Creating", "Updating"} or row.state["target"] == row.state["live"]:
        return None
    generation = row.state["generations"][row.state["target"]]
    variants = _variants(row, row.state["target"], starting)
    for variant in variants:
        config = variant_of(generation, variant["VariantName"])
        if "InstanceType" in config:
            variant["InstanceType"] = config["InstanceType"]
    return {
        "EndpointConfigName": generation["config_name"],
        "ProductionVariants": variants,
        "StartTime": generation["created"],
    }


def _variants(row: Resource, key: str, starting: Starting) -> list[dict[str, Any]]:
    generation = row.state["generations"][key]
    return [_Variant(row, key, name, starting).shown() for name in generation["variants"]]


@dataclass(frozen=True, slots=True)
class _Variant:
    """A variant of the generation `key` of an endpoint."""

    endpoint: Resource
    key: str
    name: str
    starting: Starting

    @property
    def generation(self) -> Document:
        found: Document = self.endpoint.state["generations"][self.key]
        return found

    @property
    def in_service(self) -> int:
        """Instances that answer."""
        return sum(
            (one.generation, one.variant) == (self.key, self.name)
            for one in instances_of(self.endpoint.state)
        )

    @property
    def is_short(self) -> bool:
        is_serverless = "ServerlessConfig" in variant_of(self.generation, self.name)
        return not is_serverless and self.in_service < self.generation["variants"][self.name]["count"]

    def shown(self) -> dict[str, Any]:
        wanted = self.generation["variants"][self.name]
        config = variant_of(self.generation, self.name)
        image = container_of(self.generation["models"][config["ModelName"]])["Image"]
        shown: dict[str, Any] = {
            "VariantName": self.name,
            "DeployedImages": [
                {
                    "SpecifiedImage": image,
                    "ResolvedImage": image,
                    "ResolutionTime": self.generation["created"],
                }
            ],
            "CurrentWeight": wanted["weight"],
            "DesiredWeight": wanted["weight"],
        }
        if serverless := config.get("ServerlessConfig"):
            shown |= {"CurrentServerlessConfig": serverless}
        else:
            shown |= {"CurrentInstanceCount": self.in_service, "DesiredInstanceCount": wanted["count"]}
        if "RoutingConfig" in config:
            shown["RoutingConfig"] = config["RoutingConfig"]
        if status := self.status():
            shown["VariantStatus"] = [status]
        return shown

    def status(self) -> dict[str, Any] | None:
        """There is no published status for "all is well": a variant that serves says what its model server told."""
        status, state = self.endpoint.status, self.endpoint.state
        if status == "InService" and self.is_short:
            return self._status("Creating", self._progress())
        if status == "InService":
            report = state["reports"].get(self.name)
            return self._status("ActivatingTraffic", told(report)) if report else None
        if status == "Deleting":
            return self._status("Deleting", "The instances end")
        if status not in {"Creating", "Updating", "RollingBack"}:
            return None
        return self._status(self._move(), self._progress())

    def _progress(self) -> str:
        wanted = self.generation["variants"][self.name]["count"]
        if "ServerlessConfig" in variant_of(self.generation, self.name):
            wanted = max(1, wanted)  # it is tried with one before it may have none
        told = Counter(self.starting.get((self.key, self.name), ()))
        parts = [f"{self.in_service} of {wanted} instance{'' if wanted == 1 else 's'} in service"]
        return "; ".join([*parts, *(f"{count}: {message}" for message, count in told.items())])

    def _move(self) -> str:
        state = self.endpoint.state
        if state["live"] is None:
            return "Creating"
        if self.key != state["live"] and "rollout" in state and self.endpoint.status == "Updating":
            return PHASES[state["rollout"]["phase"]]
        return "Updating" if self.key == state["live"] else "Creating"

    def _status(self, status: str, message: str) -> dict[str, Any]:
        return {
            "Status": status,
            "StatusMessage": message[:LONGEST_MESSAGE],
            "StartTime": self.endpoint.modified,
        }


def _capture(row: Resource, config: Document | None) -> dict[str, Any] | None:
    if config is None:
        return None
    is_enabled = config.get("EnableCapture", True)
    is_serving = row.state["live"] is not None and row.status not in {"Deleting", "Failed"}
    return {
        "EnableCapture": is_enabled,
        "CaptureStatus": "Started" if is_enabled and is_serving else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
