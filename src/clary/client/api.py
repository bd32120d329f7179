"""Clients of a server's services for our own commands: botocore's, pointed at one connection."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.config import Config

from clary.server.home import Connection


def service_client(server: Connection, service: str) -> Any:
    """A client of `service`, named as botocore names it. To be closed by the caller."""
    return botocore.session.get_session().create_client(
        service,
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        verify=server.ca_bundle or None,
        config=Config(s3={"addressing_style": "path"}),
    )
