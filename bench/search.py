"""How quickly many runs are searched, listed and compared: 2,000 runs with 20 metrics each unless asked otherwise.

    python bench/search.py [--runs 2000] [--metrics 20] [--times 30] [--json]

A real server process in a temporary home, asked through an ordinary client; a figure is what a caller waits for. Exit
status 1 if the goal is missed: 200 ms at the 95th percentile.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from rich.progress import track

from clary.analytics.comparison import compare
from clary.cli.demo_server import DemoServer, running_server
from clary.client.runs import Runs

GOAL_S = 0.2
EXPERIMENT = "bench"
AT_A_TIME = 10  # points that one BatchPutMetrics takes


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="clary-bench-") as folder,
        running_server(Path(folder, "home"), keep=False) as server,
    ):
        seed(server, args.runs, args.metrics)
        questions = asked(server, args.runs)
        took = measure(questions, args.times)
    result = {
        name: {f"p{rank}": float(np.percentile(seconds, rank)) for rank in (50, 95)}
        for name, seconds in took.items()
    }
    if args.json:
        print(json.dumps(result, indent=1))
    else:
        print(f"{args.runs} runs, {args.metrics} metrics each; milliseconds{'p50':>24}{'p95':>8}")
        for name, figures in result.items():
            print(f"{name:52}{1000 * figures['p50']:12.1f}{1000 * figures['p95']:8.1f}")
    return int(any(figures["p95"] > GOAL_S for figures in result.values()))


def seed(server: DemoServer, runs: int, metrics: int) -> None:
    """Made as the SDK's `Run` makes them: a component with parameters in one trial, metrics in batches."""
    sagemaker, points = server.client("sagemaker"), server.client("sagemaker-metrics")
    sagemaker.create_experiment(ExperimentName=EXPERIMENT)
    sagemaker.create_trial(ExperimentName=EXPERIMENT, TrialName="runs")

    def make(number: int) -> None:
        rng, name = Random(number), run_name(number)
        sagemaker.create_trial_component(
            TrialComponentName=name,
            Parameters={
                "lr": {"NumberValue": 10 ** rng.uniform(-5, -3)},
                "optimizer": {"StringValue": rng.choice(["adamw", "sgd", "lion"])},
                **{f"option-{each}": {"NumberValue": rng.randrange(9)} for each in range(8)},
            },
            Tags=[{"Key": "team", "Value": rng.choice(["one", "two"])}],
        )
        sagemaker.associate_trial_component(TrialComponentName=name, TrialName="runs")
        data = [
            {"MetricName": f"metric-{each}", "Value": rng.random(), "Timestamp": int(time.time()), "Step": 0}
            for each in range(metrics)
        ]
        for first in range(0, metrics, AT_A_TIME):
            points.batch_put_metrics(TrialComponentName=name, MetricData=data[first : first + AT_A_TIME])

    with ThreadPoolExecutor(4) as crew:
        list(track(crew.map(make, range(runs)), total=runs, description="making runs", transient=True))


def run_name(number: int) -> str:
    return f"{EXPERIMENT}-run-{number:05}"


def asked(server: DemoServer, runs: int) -> dict[str, Callable[[], Any]]:
    sagemaker, s3 = server.client("sagemaker"), server.client("s3")
    names = [run_name(number) for number in range(0, runs, max(1, runs // 20))][:20]

    def search(*filters: tuple[str, str, str], **more: Any) -> dict[str, Any]:
        terms = [{"Name": name, "Operator": operator, "Value": value} for name, operator, value in filters]
        answer: dict[str, Any] = sagemaker.search(
            Resource="ExperimentTrialComponent", SearchExpression={"Filters": terms}, **more
        )
        return answer

    def side_by_side() -> None:
        reader = Runs(sagemaker, s3)
        compare([reader.read(name) for name in names], "metric-0", np.random.default_rng(0))

    mine = ("Parents.ExperimentName", "Equals", EXPERIMENT)
    return {
        "search: the experiment, newest 100": lambda: search(mine, SortBy="CreationTime", MaxResults=100),
        "search: the experiment, best 100 by a metric": lambda: search(
            mine, SortBy="metrics.metric-7.last", MaxResults=100
        ),
        "search: two metrics, a parameter, a tag": lambda: search(
            ("Metrics.metric-1.Max", "GreaterThan", "0.5"),
            ("Metrics.metric-2", "LessThan", "0.5"),
            ("Parameters.optimizer", "Equals", "adamw"),
            ("Tags.team", "Equals", "one"),
            MaxResults=20,
        ),
        "search: a name": lambda: search(("TrialComponentName", "Contains", "run-0013")),
        "list: 100 of the experiment": lambda: sagemaker.list_trial_components(
            ExperimentName=EXPERIMENT, MaxResults=100
        ),
        "compare: 20 runs": side_by_side,
    }


def measure(questions: dict[str, Callable[[], Any]], times: int) -> dict[str, list[float]]:
    """Seconds of each asking, taken in turns so that a slow moment of the machine hits all."""
    took: dict[str, list[float]] = {name: [] for name in questions}
    for turn in range(times + 1):
        for name, ask in questions.items():
            began = time.perf_counter()
            ask()
            if turn:  # the first is for warming up
                took[name].append(time.perf_counter() - began)
    return took


if __name__ == "__main__":
    sys.exit(main())
