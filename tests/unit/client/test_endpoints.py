"""Which server a client of botocore speaks to."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from botocore.session import Session

CLARY = "http://127.0.0.1:7370"


@pytest.fixture
def target(shim: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", CLARY)
    target = shim.Target(CLARY, "eu-west-1", "id", "secret")
    shim.install(target)
    yield target
    shim.remove(target)


def client(service: str, **options: Any) -> Any:
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "secret"}
    return Session().create_client(service, **{"region_name": "us-west-2", **keys, **options})


@pytest.mark.parametrize(
    "service, url",
    [
        ("sts", "https://sts.us-west-2.amazonaws.com"),
        ("sts", "https://sts.cn-north-1.amazonaws.com.cn"),
        ("s3", "https://s3.us-west-2.amazonaws.com/"),
        ("sagemaker", "https://api.sagemaker.us-west-2.amazonaws.com"),
        ("logs", None),
    ],
)
def test_aws_hosts_of_our_services_become_ours(target: Any, service: str, url: str | None) -> None:
    assert client(service, endpoint_url=url).meta.endpoint_url == CLARY


@pytest.mark.parametrize(
    "service, url",
    [
        ("s3", "http://127.0.0.1:9000"),
        ("s3", "https://amazonaws.com.example.org"),
        ("lambda", "https://lambda.us-west-2.amazonaws.com"),
    ],
)
def test_other_endpoints_are_what_the_author_meant(target: Any, service: str, url: str) -> None:
    assert client(service, endpoint_url=url).meta.endpoint_url == url


def test_an_endpoint_of_one_service_wins_over_ours(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")

    assert client("s3").meta.endpoint_url == "http://127.0.0.1:9000"


def test_there_is_always_a_region(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")

    assert client("logs", region_name=None).meta.region_name == "eu-west-1"
    assert client("logs").meta.region_name == "us-west-2"


def test_a_botocore_that_knows_no_endpoint_variable_is_told(
    target: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints = importlib.import_module("clary_shim.endpoints")
    monkeypatch.setitem(sys.modules, "botocore.configprovider", ModuleType("botocore.configprovider"))

    assert endpoints.turned("s3", None) == CLARY
    assert endpoints.turned("lambda", None) is None


def test_aiobotocore_is_turned_too(target: Any) -> None:
    aiobotocore = pytest.importorskip("aiobotocore.session")

    async def endpoint() -> str:
        options = {"aws_access_key_id": "id", "aws_secret_access_key": "secret", "region_name": "us-west-2"}
        url = "https://sts.us-west-2.amazonaws.com"
        async with aiobotocore.get_session().create_client("sts", endpoint_url=url, **options) as made:
            return str(made.meta.endpoint_url)

    assert asyncio.run(endpoint()) == CLARY


def test_without_a_target_aws_is_aws(shim: ModuleType, target: Any) -> None:
    shim.remove(target)
    try:
        url = "https://sts.us-west-2.amazonaws.com"
        assert client("sts", endpoint_url=url).meta.endpoint_url == url
    finally:
        shim.install(target)
