"""Turn clients that name an AWS host outright, as the sagemaker SDKs do for STS, to the server in force.

Other endpoints are what the program's author meant: they are left alone, and so are services Clary does not speak.
"""

from __future__ import annotations

import functools
import sys
from typing import Any
from urllib.parse import urlsplit

from . import current

SERVICES = frozenset(
    ("sts", "iam", "s3", "sagemaker", "sagemaker-runtime", "sagemaker-metrics", "logs", "cloudwatch")
)
_AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


def patch(module: Any) -> None:
    """Wrap the client factory of botocore.client or aiobotocore.client."""
    for name in ("ClientCreator", "AioClientCreator"):
        creator = module.__dict__.get(name)
        if creator is not None and creator.__module__ == module.__name__:
            _wrap(creator)


def turned(service: str, endpoint_url: str | None) -> str | None:
    """The endpoint a client of this service is to use; None for what botocore's own rules say."""
    target = current()
    if target is None or service not in SERVICES:
        return endpoint_url
    if endpoint_url is None:
        return None if _reads_endpoint_variables() else target.endpoint
    host = urlsplit(endpoint_url).hostname or ""
    return target.endpoint if host.endswith(_AWS_DOMAINS) else endpoint_url


def _reads_endpoint_variables() -> bool:
    """AWS_ENDPOINT_URL is understood from botocore 1.31 on; it may name another server for one service."""
    return hasattr(sys.modules.get("botocore.configprovider"), "ConfiguredEndpointProvider")


def _wrap(creator: Any) -> None:
    create = creator.__dict__.get("create_client")
    if create is None or getattr(create, "clary", False):
        return

    @functools.wraps(create)
    def create_client(
        self: Any,
        service_name: str,
        region_name: str | None = None,
        is_secure: bool = True,
        endpoint_url: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        target = current()
        region = region_name or (target.region if target else None)
        url = turned(service_name, endpoint_url)
        return create(self, service_name, region, is_secure, url, *args, **kwargs)

    create_client.clary = True  # type: ignore[attr-defined]
    creator.create_client = create_client
