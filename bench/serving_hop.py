"""What InvokeEndpoint costs beyond the model: signature, routing, the way to the instance and back.

    python bench/serving_hop.py [--requests 300] [--rounds 5] [--json]

A real server in a temporary home, an endpoint whose program answers at once, one client. Each round asks in turns: the
instance itself, the server with requests signed beforehand (its part alone), the server through a botocore client
(signing and reading the answer included), and, with the same client, a server that answers every request alike (what
the client costs by itself). The hop is the client's time through the server less its time by itself and less the
instance's own; medians. Exit status 1 if it is not under 2 ms.
"""

from __future__ import annotations

import argparse
import io
import json
import socket
import statistics
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from clary.cli.demo_server import DemoServer, running_server

GOAL_MS = 2.0
NAME = "hop"
ANSWER = b'[{"label":"LABEL_1","score":0.99}]'
BODY = json.dumps({"inputs": "This is a very good product! " * 10}).encode()
SERVE = b"""#!/usr/bin/env python
import asyncio, os

ANSWER = b'[{"label":"LABEL_1","score":0.99}]'
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(ANSWER)


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).lower()
            if b"content-length:" in head:
                await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\\r\\n", 1)[0]))
            writer.write(HEAD + ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    host, port = os.environ.get("SAGEMAKER_BIND_TO_HOST", "127.0.0.1"), int(os.environ["SAGEMAKER_BIND_TO_PORT"])
    async with await asyncio.start_server(serve, host, port) as server:
        await server.serve_forever()


asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """Milliseconds, medians of a round."""

    instance: float
    signed: float
    client: float
    client_alone: float

    @property
    def hop(self) -> float:
        return self.client - self.client_alone - self.instance


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=300, help="of each kind and round [300]")
    parser.add_argument("--rounds", type=int, default=5, help="[5]")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="clary-bench-") as folder,
        running_server(Path(folder, "home"), keep=False) as server,
    ):
        deploy(server)
        try:
            rounds = measured(server, args.rounds, args.requests)
        finally:
            server.client("sagemaker").delete_endpoint(EndpointName=NAME)
            wait(lambda: not server.client("sagemaker").list_endpoints()["Endpoints"])
    figures = {name: statistics.median(getattr(each, name) for each in rounds) for name in Asked.__slots__}
    hop = statistics.median(each.hop for each in rounds)
    server_part = statistics.median(each.signed - each.instance for each in rounds)
    if args.json:
        print(json.dumps({**figures, "hop": hop, "hop_signed_beforehand": server_part}, indent=1))
    else:
        for name, value in figures.items():
            print(f"{name.replace('_', ' '):32}{value:8.2f} ms")
        print(f"{'hop, signed beforehand':32}{server_part:8.2f} ms")
        print(f"{'hop':32}{hop:8.2f} ms (goal {GOAL_MS})")
    return int(max(hop, server_part) > GOAL_MS)


def deploy(server: DemoServer) -> None:
    s3, sagemaker, bucket = server.client("s3"), server.client("sagemaker"), server.connection.bucket
    s3.create_bucket(Bucket=bucket)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as file:
        member = tarfile.TarInfo("code/serve")
        member.size, member.mode = len(SERVE), 0o755
        file.addfile(member, io.BytesIO(SERVE))
    s3.put_object(Bucket=bucket, Key="model.tar.gz", Body=archive.getvalue())
    container = {"Image": "hop", "ModelDataUrl": f"s3://{bucket}/model.tar.gz"}
    sagemaker.create_model(ModelName=NAME, PrimaryContainer=container)
    variant = {
        "VariantName": "only",
        "ModelName": NAME,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.t2.medium",
    }
    sagemaker.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    wait(lambda: sagemaker.describe_endpoint(EndpointName=NAME)["EndpointStatus"] != "Creating")
    described = sagemaker.describe_endpoint(EndpointName=NAME)
    if described["EndpointStatus"] != "InService":
        raise SystemExit(described.get("FailureReason"))


def wait(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        if time.monotonic() > until:
            raise SystemExit("the endpoint is not where it should be after 60 s")
        time.sleep(0.2)


def measured(server: DemoServer, rounds: int, requests: int) -> list[Asked]:
    found = next(server.home.glob("jobs/endpoint-instance/**/serving.json"))
    instance = Raw(json.loads(found.read_text())["address"], request_to("/invocations", {}))
    signed = Raw(server.endpoint.rpartition("/")[2], signed_request(server))
    alike = Alike()
    client = runtime(server, server.endpoint)
    by_itself = runtime(server, f"http://127.0.0.1:{alike.port}")
    results = []
    for number in range(rounds + 1):
        each = Asked(
            instance=median_ms(instance.ask, requests),
            signed=median_ms(signed.ask, requests),
            client=median_ms(lambda: ask(client), requests),
            client_alone=median_ms(lambda: ask(by_itself), requests),
        )
        if number:  # the first is to get warm
            results.append(each)
    return results


def median_ms(call: Callable[[], None], times: int) -> float:
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        took.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(took)


def runtime(server: DemoServer, endpoint: str) -> Any:
    return botocore.session.get_session().create_client(
        "sagemaker-runtime",
        endpoint_url=endpoint,
        region_name=server.connection.region,
        aws_access_key_id=server.connection.access_key_id,
        aws_secret_access_key=server.connection.secret_access_key,
        verify=server.connection.ca_bundle or None,
        config=Config(retries={"max_attempts": 0}),
    )


def ask(client: Any) -> None:
    answer = client.invoke_endpoint(EndpointName=NAME, ContentType="application/json", Body=BODY)
    if answer["Body"].read() != ANSWER:
        raise SystemExit("another answer than the program's")


def request_to(path: str, headers: dict[str, str]) -> bytes:
    every = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Content-Length": str(len(BODY)),
    } | headers
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in every.items()), "", ""]
    return "\r\n".join(lines).encode() + BODY


def signed_request(server: DemoServer) -> bytes:
    path = f"/endpoints/{NAME}/invocations"
    request = AWSRequest(
        "POST", server.endpoint + path, data=BODY, headers={"Content-Type": "application/json"}
    )
    keys = Credentials(server.connection.access_key_id, server.connection.secret_access_key)
    SigV4Auth(keys, "sagemaker", server.connection.region).add_auth(request)
    return request_to(path, {"Host": server.endpoint.rpartition("/")[2], **dict(request.headers.items())})


class Raw:
    """One request over one connection, again and again."""

    def __init__(self, address: str, request: bytes) -> None:
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request

    def ask(self) -> None:
        self._socket.sendall(self._request)
        seen = b""
        while not seen.endswith(ANSWER):
            part = self._socket.recv(65536)
            if not part or seen.startswith(b"HTTP/1.1 4"):
                raise SystemExit((seen + part).decode("utf-8", "replace"))
            seen += part


class Alike:
    """A server on a thread that answers every request alike, for one client."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(ANSWER)}\r\n\r\n"
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            seen = b""
            while part := connection.recv(65536):
                seen += part
                if seen.endswith(BODY):
                    seen = b""
                    connection.sendall(head.encode() + ANSWER)


if __name__ == "__main__":
    sys.exit(main())
