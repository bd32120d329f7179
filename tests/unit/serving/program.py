"""A model server whose model does what it is told: run as a program by the tests, with the real processes behind it.

What it does with a request is the request's text: "echo TEXT", "wait FILE" (tells in FILE.begun that it has begun, and
waits for FILE), "sleep S", "touch FILE", "pid", "size", "random", "status", "die", "raise", "exit", "few", "fork",
"headers". Several words apart by "; " are done in turn, the last one answers. A stream has as many pieces as the text
says, or fails after them.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from clary.serving.fetching import fetch
from clary.serving.handler import Request, Response
from clary.serving.loader import Loading
from clary.serving.main import run
from clary.serving.refusals import refusal

_DRAWS: list[Callable[[], float]] = []


class Told:
    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self.name = name
        self.shared = environment.get("TEST_SHARED", "yes") == "yes"
        self.batch = int(environment.get("TEST_BATCH", "1"))
        self.report = {"way": "told"}
        self.loaded_by = os.getpid()
        self._few = False

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        answers = [self._answer(request, len(requests)) for request in requests]
        return answers[1:] if any(request.body == b"few" for request in requests) else answers

    def _answer(self, request: Request, size: int) -> Response:
        said = b""
        for words in request.body.split(b"; "):
            word, _, rest = words.partition(b" ")
            text = rest.decode("utf-8", "replace")
            if word == b"wait":
                Path(f"{text}.begun").touch()
                while not Path(text).exists():
                    time.sleep(0.005)
            elif word == b"sleep":
                time.sleep(float(text))
            elif word == b"touch":
                Path(text).touch()
            elif word == b"fork":
                os.fork()
            elif word == b"die":
                os.kill(os.getpid(), signal.SIGKILL)
            elif word == b"raise":
                raise ValueError("told to")
            elif word == b"exit":
                sys.exit(3)
            elif word == b"bad":
                return refusal(400, "BadInput", "told to be bad")
            elif word == b"status":
                return Response(b"", "text/plain", int(text), {"X-Number": cast("str", 5)})
            said = self._said(word.decode(), rest, request, size)
        return Response(said, "text/plain", 200, {"X-Custom": "yes"})

    def _said(self, word: str, rest: bytes, request: Request, size: int) -> bytes:
        facts = {
            "pid": os.getpid(),
            "size": size,
            "model": self.name,
            "loaded": self.loaded_by,
            "headers": [request.content_type, request.accept, dict(request.headers)],
            "length": len(request.body),
        }
        if word == "random":
            facts[word] = [random.random(), *(draw() for draw in _DRAWS)]
        return rest if word == "echo" else json.dumps(facts.get(word)).encode()

    def stream(self, request: Request) -> Iterator[bytes | Response]:
        words = request.body.decode().split()
        try:
            if words[0] == "bad":
                yield refusal(400, "BadInput", "told to be bad")
                return
            size = int(words[2]) if len(words) > 2 else 0
            for number in range(int(words[0])):
                yield b"piece %d;" % number + b"." * size
            if words[1:2] == ["raise"]:
                raise ValueError("told to")
            if words[1:2] == ["die"]:
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            if words[1:2] and words[1].startswith("/"):
                Path(words[1]).touch()


def load(folder: Path, environment: Mapping[str, str]) -> Told:
    """The n-th load does as the n-th word of TEST_LOADS says; the last word counts for all that follow."""
    name = (folder / "name").read_text() if (folder / "name").exists() else ""
    words = (environment.get("TEST_LOADS") or name or "good").split()
    tally = Path(environment["TEST_FOLDER"]) / f"loads{name.replace('/', '_').replace(' ', '_')}"
    with open(tally, "ab") as file:
        file.write(b".")
        number = file.tell()
    word = words[min(number, len(words)) - 1]
    if word == "raise":
        raise ValueError("no such weights")
    if word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "wait":
        while not (tally.parent / "go").exists():
            time.sleep(0.005)
    if word == "fork":
        os.fork()
    if word == "random":
        import numpy as np
        import torch

        print("half a line of the model's", end="")
        _DRAWS[:] = [np.random.random, lambda: torch.rand(()).item()]
    if word == "thread":
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    return Told(name, environment)


if __name__ == "__main__":
    sys.exit(run(Loading(load=load, fetch=fetch)))
