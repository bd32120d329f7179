"""connect(): from a home to a program that talks to its server, and back."""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest

from clary.client.connect import connect
from clary.client.server import NotConnected, find_server


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, shim: ModuleType) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "CLARY_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def test_inside_it_clients_talk_to_the_server_and_afterwards_all_is_as_before(
    home: Path, notifier: Any, shim: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-1")
    before = dict(os.environ)

    with connect(home) as connection:
        assert connection.endpoint == notifier.url
        assert connection.role == "arn:aws:iam::123456789012:role/ClaryRole"
        assert connection.bucket == "sagemaker-eu-west-1-123456789012"
        sts = boto3.client("sts", endpoint_url="https://sts.eu-west-1.amazonaws.com")
        assert sts.meta.endpoint_url == notifier.url
        assert boto3.client("sagemaker").meta.region_name == "eu-west-1"
        assert "AWS_PROFILE" not in os.environ

    assert dict(os.environ) == before
    assert shim.current() is None
    assert boto3.DEFAULT_SESSION is None


def test_its_session_carries_the_servers_credentials(home: Path, notifier: Any) -> None:
    with connect(home) as connection:
        session = connection.boto3_session()

        assert session.region_name == "eu-west-1"
        assert session.get_credentials().access_key == "AKIAEXAMPLE"
        assert session.client("s3").meta.endpoint_url == notifier.url


def test_the_secret_is_not_shown(home: Path) -> None:
    with connect(home) as connection:
        assert "s3cret" not in repr(connection)


def test_modules_imported_before_wait_by_the_servers_news(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ModuleType("sagemaker.session")
    session.__dict__["time"] = time
    monkeypatch.setitem(sys.modules, "sagemaker.session", session)

    with connect(home):
        assert session.time is importlib.import_module("clary_shim.clock").CLOCK


def test_clients_kept_for_the_whole_process_are_forgotten(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("sagemaker.core.utils.utils")
    module.__dict__["SingletonMeta"] = type(
        "SingletonMeta", (type,), {"_instances": {"logs": "an old client"}}
    )
    monkeypatch.setitem(sys.modules, "sagemaker.core.utils.utils", module)

    with connect(home):
        assert module.SingletonMeta._instances == {}


def test_the_home_may_come_from_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARY_HOME", str(home))

    with connect() as connection:
        assert connection.region == "eu-west-1"


def test_connections_may_be_nested(home: Path, notifier: Any, shim: ModuleType) -> None:
    other = notifier.url.replace("127.0.0.1", "localhost")
    with connect(home):
        with connect(home, endpoint=other + "/"):
            assert os.environ["AWS_ENDPOINT_URL"] == other
            assert shim.current().endpoint == other
        assert os.environ["AWS_ENDPOINT_URL"] == notifier.url
        assert shim.current().endpoint == notifier.url


def test_closing_twice_is_closing_once(home: Path) -> None:
    connection = connect(home)
    connection.close()
    connection.close()


def test_a_home_where_no_server_ever_ran(tmp_path: Path) -> None:
    with pytest.raises(NotConnected, match=r"start one with `clary up --home .*nowhere`"):
        connect(tmp_path / "nowhere")


def test_the_default_home_needs_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(NotConnected, match="start one with `clary up`"):
        connect()


def test_a_server_that_is_gone(home: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        document = json.loads((home / "connection.json").read_text())
        document["endpoint"] = f"http://127.0.0.1:{closed.getsockname()[1]}"
        (home / "connection.json").write_text(json.dumps(document))

        with pytest.raises(NotConnected, match=r"no server answers at .*refused.*clary up"):
            connect(home)
    assert "AWS_ENDPOINT_URL" not in os.environ


def test_a_server_that_is_not_well(home: Path, notifier: Any) -> None:
    notifier.health = {"status": "starting"}

    with pytest.raises(NotConnected, match="starting"):
        find_server(home)


@pytest.mark.parametrize("text", ["{", "[]", '{"endpoint": "http://127.0.0.1:1"}'])
def test_a_connection_file_that_is_none(home: Path, text: str) -> None:
    (home / "connection.json").write_text(text)

    with pytest.raises(NotConnected, match=r"connection\.json cannot be read"):
        find_server(home)
