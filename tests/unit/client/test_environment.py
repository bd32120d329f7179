"""Which variables point a program at a server."""

from __future__ import annotations

import os

import pytest

from clary.client.environment import SHIM, apply_changes, client_environment, with_shim
from clary.server.home import Connection


def connection(endpoint: str = "http://127.0.0.1:7370", ca_bundle: str | None = None) -> Connection:
    return Connection(
        endpoint=endpoint,
        region="eu-west-1",
        access_key_id="id",
        secret_access_key="secret",
        account_id="123456789012",
        role_arn="arn",
        bucket="b",
        ca_bundle=ca_bundle,
        pid=1,
    )


def test_it_names_server_credentials_and_region() -> None:
    assert client_environment(connection(), {}) == {
        "CLARY_ENDPOINT": "http://127.0.0.1:7370",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:7370",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.mark.parametrize(
    "name",
    [
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_STS",
        "AWS_USE_FIPS_ENDPOINT",
    ],
)
def test_what_would_send_clients_elsewhere_goes(name: str) -> None:
    inherited = {name: "x", "HOME": "/home/me"}

    merged = apply_changes(client_environment(connection(), inherited), inherited)

    assert name not in merged
    assert merged["HOME"] == "/home/me"


def test_a_certificate_is_trusted_only_where_there_is_one() -> None:
    assert client_environment(connection(ca_bundle="/h/ca.pem"), {})["AWS_CA_BUNDLE"] == "/h/ca.pem"
    assert client_environment(connection(), {"AWS_CA_BUNDLE": "/other.pem"})["AWS_CA_BUNDLE"] is None


@pytest.mark.parametrize(
    "inherited, expected",
    [
        ({}, None),
        ({"https_proxy": "http://p"}, "127.0.0.1"),
        ({"HTTP_PROXY": "http://p", "NO_PROXY": "a, b"}, "a,b,127.0.0.1"),
        ({"HTTP_PROXY": "http://p", "no_proxy": "127.0.0.1"}, None),
        ({"HTTP_PROXY": "http://p", "no_proxy": "*"}, None),
    ],
)
def test_the_server_is_reached_past_a_proxy(inherited: dict[str, str], expected: str | None) -> None:
    changes = client_environment(connection(), inherited)

    assert changes.get("no_proxy") == expected
    assert changes.get("NO_PROXY") == expected


def test_the_shim_comes_first_and_once_and_the_users_path_stays() -> None:
    own = os.pathsep.join(["/mine", "/other"])

    first = with_shim({"PYTHONPATH": own})

    assert first == {"PYTHONPATH": os.pathsep.join([str(SHIM), own])}
    assert with_shim(first) == first
    assert with_shim({}) == {"PYTHONPATH": str(SHIM)}
