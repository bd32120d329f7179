"""The environment that points a program at a server: which variables, with which values, and which must go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from clary.server.home import Connection

SHIM = Path(__file__).parent / "shim"

# each of these would send a client elsewhere, or under another name, than the variables set below say
_IN_THE_WAY = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
)
_SERVICES = (
    *("STS", "IAM", "S3", "SAGEMAKER", "SAGEMAKER_RUNTIME", "SAGEMAKER_METRICS"),
    *("CLOUDWATCH", "CLOUDWATCH_LOGS", "APPLICATION_AUTO_SCALING"),
)
_ENDPOINTS_IN_THE_WAY = tuple(f"AWS_ENDPOINT_URL_{service}" for service in _SERVICES)


def client_environment(
    connection: Connection, inherited: Mapping[str, str] = os.environ
) -> dict[str, str | None]:
    """Variables to set on top of what a program inherits; None for those that must be removed."""
    changes: dict[str, str | None] = {
        "CLARY_ENDPOINT": connection.endpoint,
        "AWS_ENDPOINT_URL": connection.endpoint,
        "AWS_ACCESS_KEY_ID": connection.access_key_id,
        "AWS_SECRET_ACCESS_KEY": connection.secret_access_key,
        "AWS_REGION": connection.region,
        "AWS_DEFAULT_REGION": connection.region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if connection.ca_bundle:
        changes["AWS_CA_BUNDLE"] = connection.ca_bundle
    elif "AWS_CA_BUNDLE" in inherited:
        changes["AWS_CA_BUNDLE"] = None
    for name in (*_IN_THE_WAY, *_ENDPOINTS_IN_THE_WAY):
        if name in inherited:
            changes[name] = None
    return {**changes, **_past_the_proxy(connection, inherited)}


def with_shim(inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variable that puts the shim first on the path of Python programs, before the user's own folders."""
    own = [
        entry for entry in inherited.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != str(SHIM)
    ]
    return {"PYTHONPATH": os.pathsep.join([str(SHIM), *own])}


def apply_changes(changes: Mapping[str, str | None], inherited: Mapping[str, str]) -> dict[str, str]:
    """A whole environment: what is inherited, with the changes made."""
    merged = {**inherited, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _past_the_proxy(connection: Connection, inherited: Mapping[str, str]) -> dict[str, str]:
    """Where a proxy is set, the server's host is to be reached without it."""
    if not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in inherited):
        return {}
    host = urlsplit(connection.endpoint).hostname or ""
    named = inherited.get("no_proxy") or inherited.get("NO_PROXY") or ""
    hosts = [entry.strip() for entry in named.split(",") if entry.strip()]
    if "*" in hosts or host in hosts:
        return {}
    value = ",".join([*hosts, host])
    return {"no_proxy": value, "NO_PROXY": value}
