"""Serving single reviews: our model server against the original stack and others, on the same cores.

    python bench/serving.py --set-up-peers DIR     # once: environments for the peers; Java has to be there
    python bench/serving.py --peers DIR [--only "clary fp32" mms ...] [--rounds 3] [--seconds 6] [--json]

Each round starts one server after the other, with two workers of one thread each (Java and Ray bring their own
processes besides): start to first answer, memory, then closed loops of 1, 8 and 32 clients. What the machine does
besides hits all of them; ratios are taken within a round, and their median counts. The clients run on the same cores.
The model is all-MiniLM-L6-v2, fine-tuned two epochs on the clothing reviews (kept in --work); texts are other reviews.
`alone` is `Encoder.classify` of one text at a time in a process of its own: what a call costs without a server.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import evaluate
import serving_programs
from serving_programs import Program, Running

CLIENTS = (1, 8, 32)
GOALS = {
    "clary fp32": 1.5,
    "clary bf16": 2.3,
    "clary int8": 3.3,
}  # times the original stack's requests a second
BATCHED = 2.0  # times those of LitServe and Ray Serve with batching, in exact mode
COLD = 0.5  # of the original stack's start
ALONE = 1.2  # times a call in the process, at one client
TRAINED, MEASURED, CALIBRATION = 640, 200, 100  # reviews


@dataclass(frozen=True, slots=True)
class Load:
    """Of one closed loop. mean, p50, p99: milliseconds. right: share of labels that are those of exact float32."""

    clients: int
    per_second: float
    mean: float
    p50: float
    p99: float
    right: float


@dataclass(frozen=True, slots=True)
class Round:
    server: str
    cold_s: float
    memory_mb: float
    loads: tuple[Load, ...]


def main() -> int:
    args = arguments()
    if args.set_up_peers:
        serving_programs.set_up(args.set_up_peers)
        return 0
    if args.alone:
        print(json.dumps(alone(Path(args.alone[0]), Path(args.alone[1]), args.alone[2], args.seconds)))
        return 0
    servers = serving_programs.programs(args.peers and args.peers.resolve(), args.workers)
    unknown = sorted(set(args.only) - set(servers))
    if unknown:
        raise SystemExit(f"--only: {', '.join(servers)} expected, not {', '.join(unknown)}")
    chosen = [servers[name] for name in args.only or servers]
    with tempfile.TemporaryDirectory(prefix="clary-bench-") as scratch:
        work = args.work or Path(scratch) / "work"
        texts = prepared(work, args.data)
        results, called = measured(chosen, work, texts, Path(scratch), args)
    machine = evaluate.describe_machine(args.data.name)
    verdicts = judged(results, called)
    if args.json:
        rounds = [asdict(each) for each in results]
        print(
            json.dumps(
                {"machine": machine, "rounds": rounds, "alone": called, "verdicts": verdicts}, indent=1
            )
        )
    else:
        print_tables(results, called, machine, verdicts)
    return 0 if all(verdict["met"] for verdict in verdicts) else 1


def arguments() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--set-up-peers", type=Path, metavar="DIR", help="make the peers' environments, and end"
    )
    parser.add_argument("--peers", type=Path, metavar="DIR", help="where those are [none: ours alone]")
    parser.add_argument("--only", nargs="*", default=[], help="servers by name [all]")
    parser.add_argument("--rounds", type=int, default=3, help="[3]")
    parser.add_argument("--seconds", type=float, default=6, help="of each closed loop [6]")
    parser.add_argument("--workers", type=int, default=2, help="[2]")
    parser.add_argument(
        "--data", type=Path, default=evaluate.REVIEWS, help="the clothing reviews; made up if missing"
    )
    parser.add_argument("--work", type=Path, help="where the model is kept from run to run [nowhere]")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def prepared(work: Path, data: Path) -> Path:
    """The model, and beside it the file of texts to send."""
    reviews, liked, _ = evaluate.read_reviews(data)
    trained = min(TRAINED, len(reviews) // 2)
    if not (work / "model" / "config.json").exists():
        fine_tune(work / "model", reviews[:trained], liked[:trained])
    lines = [json.dumps({"inputs": text}) for text in reviews[trained : trained + CALIBRATION]]
    (work / "model" / "calibration.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    texts = work / "texts.json"
    texts.write_text(json.dumps(reviews[-MEASURED:]), "utf-8")
    return texts


def fine_tune(folder: Path, texts: Sequence[str], liked: Sequence[int]) -> None:
    """Two epochs, as in the publication."""
    import numpy as np
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    model = AutoModelForSequenceClassification.from_pretrained(evaluate.minilm(), num_labels=2).train()
    tokenizer = AutoTokenizer.from_pretrained(evaluate.minilm())
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4)
    batches = [
        part
        for _ in range(2)
        for part in np.array_split(random.permutation(len(texts)), -(-len(texts) // 32))
    ]
    for number, batch in enumerate(batches):
        optimizer.param_groups[0]["lr"] = 2e-4 * (1 - number / len(batches))
        inputs = tokenizer(
            [texts[index] for index in batch],
            padding=True,
            truncation=True,
            max_length=128,
            return_tensors="pt",
        )
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**inputs, labels=torch.tensor([liked[index] for index in batch])).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def measured(
    chosen: Sequence[Program], work: Path, texts: Path, scratch: Path, args: Any
) -> tuple[list[Round], dict[str, list[dict[str, float]]]]:
    """All rounds, and calls without a server by precision, one a round."""
    right = answered_exactly(work / "model", texts)
    results: list[Round] = []
    called: dict[str, list[dict[str, float]]] = {}
    for number in range(args.rounds):
        for place, program in enumerate(chosen):
            form = program.name.partition(" ")[2]
            if program.name.startswith("clary "):
                given = ["--alone", str(work / "model"), str(texts), form, "--seconds", str(args.seconds)]
                called.setdefault(form, []).append(in_process(__file__, *given))
            results.append(
                one_round(program, work / "model", texts, scratch / f"{number}-{place}", right, args.seconds)
            )
            if not args.json:
                print(f"round {number + 1}: {results[-1]}", file=sys.stderr)
    return results, called


def one_round(
    program: Program, model: Path, texts: Path, folder: Path, right: Sequence[str], seconds: float
) -> Round:
    first = json.dumps({"inputs": json.loads(texts.read_text("utf-8"))[0]}).encode()
    server = Running(program, model, folder, first)
    try:
        port = str(server.port)
        load = [str(Path(__file__).with_name("load.py")), port, "--texts", str(texts)]
        in_process(*load, "--clients", "8", "--seconds", "3")  # uncounted
        loads = []
        for clients in CLIENTS:
            seen = in_process(
                *load, "--clients", str(clients), "--seconds", str(seconds), "--first", str(clients)
            )
            same = [label(answer) == right[int(number)] for number, answer in seen["answers"].items()]
            figures = {name: seen[name] for name in ("per_second", "mean", "p50", "p99")}
            loads.append(Load(clients=clients, right=sum(same) / len(same), **figures))
        return Round(program.name, server.cold_s, server.memory_mb(), tuple(loads))
    finally:
        server.end()


def in_process(*arguments: str) -> Any:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{Path(arguments[0]).name}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def label(answer: Any) -> str:
    """Servers answer an object, or a list of one, or a list of that."""
    while isinstance(answer, list):
        answer = max(answer, key=lambda each: each["score"]) if isinstance(answer[0], dict) else answer[0]
    return str(answer["label"])


def answered_exactly(model: Path, texts: Path) -> list[str]:
    from clary.inference import Encoder

    encoder = Encoder.load(model, device="cpu", padding_free=False)
    logits = encoder.classify(json.loads(texts.read_text("utf-8")))
    return [encoder.labels[number] for number in logits.argmax(1)]


def alone(model: Path, texts: Path, form: str, seconds: float) -> dict[str, float]:
    """Milliseconds of a call in this process, one thread."""
    import torch

    from clary.inference import Encoder

    torch.set_num_threads(1)
    encoder = Encoder.load(model, precision=form, device="cpu", threads=1)  # type: ignore[arg-type]
    asked = json.loads(texts.read_text("utf-8"))
    encoder.classify(asked[:50])
    for text in asked[:50]:
        encoder.classify([text])
    took: list[float] = []
    until = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until:
        encoder.classify([asked[len(took) % len(asked)]])
        took.append(1e3 * (time.perf_counter() - begun))
    return {"mean": statistics.mean(took), "p50": statistics.median(took)}


def judged(results: Sequence[Round], called: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """Each goal with what was seen: medians over the rounds of ratios within a round."""
    by_name: dict[str, list[Round]] = {}
    for each in results:
        by_name.setdefault(each.server, []).append(each)
    found: list[dict[str, Any]] = []

    def judge(what: str, ratios: Sequence[float], goal: float, *, most: bool = False) -> None:
        ratio = statistics.median(ratios)
        found.append(
            {"what": what, "ratio": ratio, "goal": goal, "met": ratio <= goal if most else ratio >= goal}
        )

    for name, goal in GOALS.items():
        ours, theirs = by_name.get(name, []), by_name.get("mms", [])
        if ours and theirs:
            for place, clients in enumerate(CLIENTS):
                if clients > 1:
                    pairs = [(a.loads[place], b.loads[place]) for a, b in zip(ours, theirs, strict=True)]
                    judge(
                        f"{name}: x mms, {clients} clients",
                        [a.per_second / b.per_second for a, b in pairs],
                        goal,
                    )
                    judge(
                        f"{name}: p99 of mms', {clients} clients",
                        [a.p99 / b.p99 for a, b in pairs],
                        1,
                        most=True,
                    )
            starts = [a.cold_s / b.cold_s for a, b in zip(ours, theirs, strict=True)]
            judge(f"{name}: first answer, of mms' time", starts, COLD, most=True)
        if ours:
            calls = called[name.partition(" ")[2]]
            ratios = [a.loads[0].mean / b["mean"] for a, b in zip(ours, calls, strict=True)]
            judge(f"{name}: one client, x a call in the process", ratios, ALONE, most=True)
    for peer in ("litserve 32", "ray 32"):
        ours, theirs = by_name.get("clary fp32", []), by_name.get(peer, [])
        for place in (1, 2) if ours and theirs else ():
            ratios = [
                a.loads[place].per_second / b.loads[place].per_second
                for a, b in zip(ours, theirs, strict=True)
            ]
            judge(f"clary fp32: x {peer}, {CLIENTS[place]} clients", ratios, BATCHED)
    return found


def print_tables(
    results: Sequence[Round],
    called: dict[str, list[dict[str, float]]],
    machine: dict[str, Any],
    verdicts: Sequence[dict[str, Any]],
) -> None:
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    heads = "".join(f"{f'c={clients}: req/s':>14} {'p50':>6} {'p99':>6}" for clients in CLIENTS)
    print(f"{'server':12}{heads} {'cold s':>7} {'PSS MB':>7} {'labels equal':>13}")
    for name in dict.fromkeys(each.server for each in results):
        rounds = [each for each in results if each.server == name]
        cells = ""
        for place in range(len(CLIENTS)):
            loads = [each.loads[place] for each in rounds]
            cells += (
                f"{middle(loads, 'per_second'):14.1f} {middle(loads, 'p50'):6.1f} {middle(loads, 'p99'):6.0f}"
            )
        right = min(load.right for each in rounds for load in each.loads)
        print(
            f"{name:12}{cells} {middle(rounds, 'cold_s'):7.1f} {middle(rounds, 'memory_mb'):7.0f} {right:13.1%}"
        )
    for form, calls in called.items():
        print(f"a call in the process, {form}: {statistics.median(each['mean'] for each in calls):.1f} ms")
    for verdict in verdicts:
        missed = "" if verdict["met"] else "  MISSED"
        print(f"{verdict['what']:52} {verdict['ratio']:6.2f} (goal {verdict['goal']}){missed}")


def middle(items: Sequence[Any], name: str) -> float:
    return statistics.median(getattr(item, name) for item in items)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(main())
