"""From the row of an endpoint's instance to what its agent is to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clary.agent.contract import Model, Plan
from clary.controllers.plan import Station, common
from clary.domain.endpoints import container_of
from clary.store.base import Resource

Request = Mapping[str, Any]

GRACE_S = 30.0  # from SIGTERM to SIGKILL, as documented for inference containers
FOR_EVER_S = 100 * 365 * 86_400.0
STARTUP_S = 600.0
DOWNLOAD_S = 1_200.0


def serving_plan(instance: Resource, station: Station) -> Plan:
    """`instance` is a row of kind endpoint-instance."""
    spec = instance.spec
    container = container_of(spec["Model"])
    own = {
        "environment": _environment(spec.get("Environment", {}), container.get("Environment", {})),
        "max_runtime_s": FOR_EVER_S,
        "grace_s": GRACE_S,
    }
    return Plan(
        **{**common(instance, station), **own},
        work="serving",
        instance_type=spec["InstanceType"],
        model=model_of(
            container,
            serve=station.serve,
            startup_timeout_s=spec.get("StartupTimeoutInSeconds", STARTUP_S),
            download_timeout_s=spec.get("DownloadTimeoutInSeconds", DOWNLOAD_S),
        ),
    )


def _environment(usual: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The model's variables, and the usual ones that it does not set: empty ones count as absent."""
    return {**own, **{name: value for name, value in usual.items() if not own.get(name)}}


def model_of(
    container: Request,
    *,
    serve: Sequence[str] = (),
    startup_timeout_s: float = STARTUP_S,
    download_timeout_s: float = DOWNLOAD_S,
) -> Model:
    """`container` is a ContainerDefinition, as CreateModel takes it; `serve` the command of the image's program."""
    source: Request = container.get("ModelDataSource", {}).get("S3DataSource", {})
    return Model(
        image=container.get("Image", ""),
        data_url=source.get("S3Uri") or container.get("ModelDataUrl", ""),
        data_type=source.get("S3DataType", "S3Object"),
        compression=source.get("CompressionType", "Gzip"),
        mode=container.get("Mode", "SingleModel"),
        serve=list(serve),
        startup_timeout_s=startup_timeout_s,
        download_timeout_s=download_timeout_s,
    )
