"""What S3 acknowledged survives the server's death; what it did not leaves nothing."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from tests.server_process import ServerProcess


def blobs(server: ServerProcess) -> list[Path]:
    return list((server.home / "objects").glob("??/*"))


def test_acknowledged_puts_survive_a_kill(server: ServerProcess) -> None:
    server.client("s3").create_bucket(Bucket="kept")
    acknowledged: dict[str, bytes] = {}
    enough = threading.Event()

    def write(number: int) -> None:
        s3 = server.client("s3")
        chance = random.Random(number)
        for turn in range(10_000):
            # some keys are written again and again: after the kill they hold what was acknowledged last, or the next
            key, data = f"{number}/{turn % 7}", chance.randbytes(chance.choice([0, 10, 5000, 300_000]))
            try:
                s3.put_object(Bucket="kept", Key=key, Body=data)
            except (BotoCoreError, ClientError):
                pending[key] = data
                return
            acknowledged[key] = data
            if len(acknowledged) == 28:
                enough.set()

    pending: dict[str, bytes] = {}
    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    server.kill()
    for thread in threads:
        thread.join(60)
    server.restart()
    s3 = server.client("s3")
    for key, data in acknowledged.items():
        assert s3.get_object(Bucket="kept", Key=key)["Body"].read() in (data, pending.get(key))
    assert len(blobs(server)) == len(s3.list_objects_v2(Bucket="kept")["Contents"])


def test_an_upload_under_way_goes_on_after_a_restart(server: ServerProcess) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="kept")
    upload = {"Bucket": "kept", "Key": "big"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = random.Random(1).randbytes(5 << 20)
    tags = [s3.upload_part(**upload, PartNumber=1, Body=part)["ETag"]]
    server.kill()
    server.restart()
    s3 = server.client("s3")
    tags.append(s3.upload_part(**upload, PartNumber=2, Body=b"end")["ETag"])
    parts: list[dict[str, Any]] = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, start=1)]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket="kept", Key="big")["Body"].read() == part + b"end"


def test_a_client_that_goes_away_leaves_nothing(server: ServerProcess) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="k", Body=b"before")
    url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": "kept", "Key": "k"}))
    with socket.create_connection((url.hostname, url.port)) as client:
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 5000000\r\n\r\n"
        client.sendall(head.encode() + b"x" * 2_000_000)
        wait_until(lambda: len(blobs(server)) == 2)
    wait_until(lambda: len(blobs(server)) == 1)
    assert s3.get_object(Bucket="kept", Key="k")["Body"].read() == b"before"
    assert "Traceback" not in server.log


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_crash_left_is_swept_at_the_start(server: ServerProcess) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="k", Body=b"content")
    server.kill()
    (server.home / "objects" / "ab" / "ab0123").write_bytes(b"half an upload")
    server.restart()
    assert len(blobs(server)) == 1
    assert server.client("s3").get_object(Bucket="kept", Key="k")["Body"].read() == b"content"
