"""A closed loop of clients against one HTTP server: each sends its next request when it has its answer.

    python bench/load.py PORT --texts texts.json --clients 8 --seconds 6

Raw sockets and requests that are made beforehand: a fraction of a millisecond of CPU a request, in a process of its
own. Prints one JSON object: requests a second, percentiles in milliseconds, and each text's answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Seen:
    """What all clients saw. answers: the last of each text. failed: the first answer that was no 200."""

    until: float
    latencies: list[float] = field(default_factory=list)
    answers: dict[int, bytes] = field(default_factory=dict)
    failed: bytes | None = None
    next: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("port", type=int)
    parser.add_argument("--path", default="/invocations")
    parser.add_argument("--texts", type=Path, required=True, help="a JSON list")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--first", type=int, default=0, help="the text to begin with")
    args = parser.parse_args()
    requests = [request(text, args.path) for text in json.loads(args.texts.read_text("utf-8"))]
    seen, took = asyncio.run(run(args.port, requests, args.clients, args.seconds, args.first))
    if seen.failed is not None:
        print(seen.failed.decode("utf-8", "replace"), file=sys.stderr)
        return 1
    ordered = sorted(seen.latencies)
    print(
        json.dumps(
            {
                "requests": len(ordered),
                "per_second": len(ordered) / took,
                "mean": 1e3 * sum(ordered) / len(ordered),
                "p50": 1e3 * percentile(ordered, 0.5),
                "p99": 1e3 * percentile(ordered, 0.99),
                "answers": {number: json.loads(body) for number, body in seen.answers.items()},
            }
        )
    )
    return 0


def request(text: str, path: str) -> bytes:
    body = json.dumps({"inputs": text}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def run(
    port: int, requests: list[bytes], clients: int, seconds: float, first: int
) -> tuple[Seen, float]:
    started = time.perf_counter()
    seen = Seen(until=started + seconds, next=first)
    await asyncio.gather(*(client(port, requests, seen) for _ in range(clients)))
    return seen, time.perf_counter() - started


async def client(port: int, requests: list[bytes], seen: Seen) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while (begun := time.perf_counter()) < seen.until and seen.failed is None:
            number = seen.next % len(requests)
            seen.next += 1
            writer.write(requests[number])
            status, body, closes = await answer(reader)
            seen.latencies.append(time.perf_counter() - begun)
            if status != 200:
                seen.failed = f"{status}: ".encode() + body
                return
            seen.answers[number] = body
            if closes:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Status, body, and whether the server closes the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    closes = b"connection: close" in head
    if b"content-length:" in head:
        size = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        return status, await reader.readexactly(size), closes
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return status, b"".join(parts), closes


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    sys.exit(main())
