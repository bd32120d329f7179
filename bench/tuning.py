"""How soon and how well tuning strategies find the answer, ours beside other libraries.

    python bench/tuning.py [--problem a --problem d] [--strategy clary ...] [--seeds 50] [--first-seed 1000]
                           [--json out.json]

Each study runs 30 simulated jobs, three at a time, asynchronously: a job's duration is drawn, and the next one is
asked for the moment one ends, with what is known at that moment. Every strategy sees the same durations and draws of
noise. Objectives are F1 scores to be maximised; a measurement has normal noise of standard deviation 0.006.

Columns: `near` is the median count of the 30 jobs whose true value lies within 0.005 of the optimum; `regret` is the
optimum minus the true value of the job that the strategy would hand over at the end (ours: the job with the highest
belief; the others: the job with the best measurement, which is what they offer); `ms` is process time for one
suggestion, the median over the studies' second halves.

Peers run when they are installed: optuna (TPE with constant liar; GPSampler, which needs torch and ten times our time).
"""

from __future__ import annotations

import argparse
import heapq
import importlib.util
import json
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from clary.tuning.bayesian import Bayesian
from clary.tuning.belief import best_by_belief
from clary.tuning.random import Random
from clary.tuning.space import Categorical, Continuous, Integer, Space
from clary.tuning.strategy import Observation

JOBS, PARALLEL, NOISE, NEAR = 30, 3, 0.006, 0.005


@dataclass(frozen=True)
class Problem:
    title: str
    space: Space
    true: Callable[[Mapping[str, str]], float]
    optimum: float


def f1(lr: float, best_lr: float = 6.47e-5) -> float:
    if lr > 3e-4 * best_lr / 6.47e-5:
        return 0.75
    return 0.918 - 0.17 * ((math.log10(lr) - math.log10(best_lr)) / 0.9) ** 2


def problem_a() -> Problem:
    space = Space([Continuous("lr", "5e-6", "5e-4", "Logarithmic")])
    return Problem("F1(lr), logarithmic", space, lambda v: f1(float(v["lr"])), 0.918)


def problem_b() -> Problem:
    """The range is given on the wrong scale; the best learning rate grows with the root of the batch size."""
    space = Space([Continuous("lr", "5e-6", "5e-4", "Linear"), Categorical("batch", ("8", "16", "32", "64"))])
    loss = {"8": 0.012, "16": 0.0, "32": 0.004, "64": 0.02}

    def true(v: Mapping[str, str]) -> float:
        return f1(float(v["lr"]), 6.47e-5 * math.sqrt(int(v["batch"]) / 16)) - loss[v["batch"]]

    return Problem("linear lr x batch size", space, true, 0.918)


def problem_c() -> Problem:
    space = Space(
        [
            Continuous("lr", "1e-6", "1e-2", "Logarithmic"),
            Continuous("dropout", "0", "0.6", "Linear"),
            Integer("layers", "1", "12", "Linear"),
            Categorical("optimizer", ('"adam"', '"sgd"', '"lamb"')),
        ]
    )
    best_lr = {'"adam"': 6e-5, '"sgd"': 1e-3, '"lamb"': 3e-4}
    loss = {'"adam"': 0.0, '"sgd"': 0.03, '"lamb"': 0.008}

    def true(v: Mapping[str, str]) -> float:
        gap = math.log10(float(v["lr"])) - math.log10(best_lr[v["optimizer"]])
        shape = 0.09 * (1.0 - math.exp(-(gap**2))) + 0.03 * max(gap, 0.0)
        depth = 0.04 * ((int(v["layers"]) - 8) / 6) ** 2
        return 0.918 - loss[v["optimizer"]] - shape - 0.25 * (float(v["dropout"]) - 0.15) ** 2 - depth

    return Problem("four mixed parameters", space, true, 0.918)


def problem_d() -> Problem:
    """A broad peak of 0.900 and, a decade away, a narrow one of 0.918."""
    space = Space([Continuous("lr", "5e-6", "5e-4", "Logarithmic")])

    def true(v: Mapping[str, str]) -> float:
        unit = (math.log10(float(v["lr"])) - math.log10(5e-6)) / 2.0
        broad = 0.20 * math.exp(-0.5 * ((unit - 0.27) / 0.14) ** 2)
        narrow = 0.218 * math.exp(-0.5 * ((unit - 0.78) / 0.06) ** 2)
        return 0.70 + max(broad, narrow)

    return Problem("two peaks", space, true, 0.918)


PROBLEMS = {"a": problem_a, "b": problem_b, "c": problem_c, "d": problem_d}


class Tuner(Protocol):
    """ask -> (ticket, values); tell with the measurement; at the end, the number of the job it hands over."""

    def ask(self) -> dict[str, str]: ...

    def tell(self, number: int, objective: float) -> None: ...

    def choose(self) -> int: ...


class Ours:
    def __init__(self, strategy: Any, space: Space, seed: int, *, belief: bool) -> None:
        self.strategy, self.space, self.seed, self.belief = strategy, space, seed, belief
        self.asked: list[dict[str, str]] = []
        self.told: dict[int, float] = {}

    def ask(self) -> dict[str, str]:
        rng = np.random.default_rng([self.seed, len(self.asked)])
        pending = [values for number, values in enumerate(self.asked) if number not in self.told]
        values = self.strategy.propose(self.space, self.history(), pending, 1, rng, maximize=True)[0].values
        self.asked.append(values)
        return dict(values)

    def tell(self, number: int, objective: float) -> None:
        self.told[number] = objective

    def history(self) -> list[Observation]:
        return [Observation(self.asked[number], value) for number, value in self.told.items()]

    def choose(self) -> int:
        numbers = list(self.told)
        if not self.belief:
            return max(numbers, key=lambda n: self.told[n])
        index = best_by_belief(self.space, self.history(), np.random.default_rng(self.seed), maximize=True)
        assert index is not None
        return numbers[index]


class Optuna:
    def __init__(self, sampler: str, space: Space, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        made: Any
        if sampler == "tpe":
            made = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        else:
            made = optuna.samplers.GPSampler(seed=seed)
        self.study = optuna.create_study(direction="maximize", sampler=made)
        self.space = space
        self.trials: list[Any] = []

    def ask(self) -> dict[str, str]:
        trial = self.study.ask()
        values: dict[str, str] = {}
        for each in self.space.ranges:
            match each:
                case Continuous():
                    log = each.scaling == "Logarithmic"
                    values[each.name] = repr(
                        trial.suggest_float(each.name, float(each.low), float(each.high), log=log)
                    )
                case Integer():
                    values[each.name] = str(trial.suggest_int(each.name, int(each.low), int(each.high)))
                case Categorical():
                    values[each.name] = trial.suggest_categorical(each.name, each.values)
        self.trials.append(trial)
        return values

    def tell(self, number: int, objective: float) -> None:
        self.study.tell(self.trials[number], objective)

    def choose(self) -> int:
        return int(self.study.best_trial.number)


def strategies() -> dict[str, Callable[[Space, int], Tuner]]:
    known: dict[str, Callable[[Space, int], Tuner]] = {
        "random": lambda space, seed: Ours(Random(), space, seed, belief=False),
        "clary": lambda space, seed: Ours(Bayesian(jobs=JOBS), space, seed, belief=True),
    }
    if importlib.util.find_spec("optuna"):
        known["optuna-tpe"] = lambda space, seed: Optuna("tpe", space, seed)
        if importlib.util.find_spec("torch"):
            known["optuna-gp"] = lambda space, seed: Optuna("gp", space, seed)
    return known


@dataclass
class Study:
    near: int = 0
    regret: float = 0.0
    seconds: list[float] = field(default_factory=list)


def run_study(problem: Problem, tuner: Tuner, seed: int) -> Study:
    draws = np.random.default_rng([seed, 77])
    durations, noise = draws.lognormal(0.0, 0.35, JOBS), draws.normal(0.0, NOISE, JOBS)
    running: list[tuple[float, int]] = []
    values: list[dict[str, str]] = []
    study = Study()
    for number in range(JOBS):
        now = 0.0
        if len(running) == PARALLEL:
            now = end(problem, tuner, running, values, noise)
        began = time.process_time()
        values.append(tuner.ask())
        study.seconds.append(time.process_time() - began)
        heapq.heappush(running, (now + durations[number], number))
    while running:
        end(problem, tuner, running, values, noise)
    true = [problem.true(each) for each in values]
    study.near = sum(value >= problem.optimum - NEAR for value in true)
    study.regret = problem.optimum - true[tuner.choose()]
    return study


def end(
    problem: Problem, tuner: Tuner, running: list[tuple[float, int]], values: list[dict[str, str]], noise: Any
) -> float:
    now, number = heapq.heappop(running)
    tuner.tell(number, problem.true(values[number]) + float(noise[number]))
    return now


def summary(studies: list[Study]) -> dict[str, float]:
    regrets = [each.regret for each in studies]
    late = [s for each in studies for s in each.seconds[JOBS // 2 :]]
    return {
        "seeds": len(studies),
        "near": statistics.median(each.near for each in studies),
        "regret_mean": statistics.fmean(regrets),
        "regret_median": statistics.median(regrets),
        "regret_p90": float(np.quantile(regrets, 0.9)),
        "ms": 1000 * statistics.median(late),
    }


HEADER = "problem strategy      seeds  near  regret mean  median     p90      ms"


def row(problem: str, strategy: str, line: Mapping[str, float]) -> str:
    return (
        f"{problem:7} {strategy:13} {line['seeds']:5.0f} {line['near']:5.1f}      {line['regret_mean']:.5f} "
        f"{line['regret_median']:.5f} {line['regret_p90']:.5f} {line['ms']:7.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problem", action="append", choices=list(PROBLEMS))
    parser.add_argument("--strategy", action="append")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument(
        "--first-seed", type=int, default=1000, help="the strategies were tuned on seeds below 200"
    )
    parser.add_argument("--json")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    known = strategies()
    results: dict[str, dict[str, dict[str, float]]] = {}
    sys.stdout.write(HEADER + "\n")
    for letter in options.problem or list(PROBLEMS):
        problem = PROBLEMS[letter]()
        for name in options.strategy or list(known):
            seeds = range(options.first_seed, options.first_seed + options.seeds)
            studies = [run_study(problem, known[name](problem.space, seed), seed) for seed in seeds]
            results.setdefault(letter, {})[name] = summary(studies)
            sys.stdout.write(row(letter, name, results[letter][name]) + "\n")
            sys.stdout.flush()
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
