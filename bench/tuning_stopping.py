"""Problem (e): how many epochs early stopping and Hyperband save, and what they cost in the end.

    python bench/tuning_stopping.py [--seeds 50] [--first-seed 2000] [--strategy bayesian-auto ...] [--workers 2]
                                    [--json out.json]

30 jobs, three at a time, asynchronous as in `bench/tuning.py`, each up to 27 epochs; after each epoch a job emits its
objective with normal noise of 0.006 and may be stopped. `epochs` is the total that a study trained (mean over seeds),
`saved` the share of 30 x 27; `regret` is the best value there is after 27 epochs minus the true value, at its last
epoch, of the job handed over at the end: of those that ran to their end the one with the highest belief, with random
search the one measured best. `measured` is the regret of the one measured best, for every strategy. What follows +- is
the standard error of a mean over seeds. `bayesian-auto` is what Clary does where TrainingJobEarlyStoppingType is Auto,
`bayesian-median` the documented median rule alone.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import heapq
import importlib.util
import json
import math
import statistics
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from tuning import JOBS, NOISE, PARALLEL, Optuna, f1

from clary.tuning.bayesian import Bayesian, learn
from clary.tuning.belief import best_by_belief
from clary.tuning.curves import completed
from clary.tuning.forecast import foreseen, length_of
from clary.tuning.hyperband import Hyperband
from clary.tuning.prospects import Prospects, due, prospects
from clary.tuning.random import Random
from clary.tuning.space import Continuous, Space
from clary.tuning.stopping import Decision, decide
from clary.tuning.strategy import Observation

EPOCHS = 27
SPACE = Space([Continuous("lr", "5e-6", "5e-4", "Logarithmic"), Continuous("dropout", "0", "0.6", "Linear")])


def true(values: Mapping[str, str], epoch: int) -> float:
    """Low rates learn slowly, high ones fast and then fall off: early values mislead a little."""
    lr, dropout = float(values["lr"]), float(values["dropout"])
    final = f1(lr) - 0.3 * (dropout - 0.15) ** 2
    pace = 4.0 * (6.47e-5 / lr) ** 0.35
    overfit = 0.02 * max(math.log10(lr / 6.47e-5), 0.0) * epoch / EPOCHS
    return final - (final - 0.45) * math.exp(-epoch / pace) - overfit


def optimum() -> float:
    grid = np.linspace(math.log(5e-6), math.log(5e-4), 4001)
    return max(true({"lr": repr(math.exp(x)), "dropout": "0.15"}, EPOCHS) for x in grid)


class Tuner(Protocol):
    def ask(self) -> dict[str, str]: ...

    def report(self, number: int, value: float) -> bool: ...

    def end(self, number: int) -> None: ...

    def choose(self) -> int: ...


class Ours:
    def __init__(self, strategy: Any, seed: int, *, median: bool) -> None:
        self.strategy, self.seed, self.median = strategy, seed, median
        self.foretells = isinstance(strategy, Bayesian) and strategy.forecasts
        self.model: tuple[int, Prospects | None] = (0, None)
        self.asked: list[dict[str, str]] = []
        self.curves: dict[int, list[float]] = {}
        self.ended: list[int] = []
        self.decided: dict[int, int] = {}

    def ask(self) -> dict[str, str]:
        number = len(self.asked)
        rng = np.random.default_rng([self.seed, number])
        pending = [values for n, values in enumerate(self.asked) if n not in self.ended]
        values = self.strategy.propose(SPACE, self.history(), pending, 1, rng, maximize=True)[0].values
        self.asked.append(values)
        self.curves[number] = []
        return dict(values)

    def report(self, number: int, value: float) -> bool:
        self.curves[number].append(value)
        if self.median:
            decision = decide(self.curves[number], self.history(), maximize=True)
            if self.foretells and not (decision and decision.stop):
                decision = self.look(number)
        elif isinstance(self.strategy, Hyperband):
            others = {n: curve for n, curve in self.curves.items() if n != number}
            since = self.decided.get(number, 0)
            decision = self.strategy.decide(number, self.curves[number], others, maximize=True, decided=since)
            self.decided[number] = decision.step if decision else since
        else:
            return False
        return bool(decision and decision.stop)

    def look(self, number: int) -> Decision | None:
        history, curve = self.history(), self.curves[number]
        length = length_of(history)
        if length is None or not due(len(curve), self.decided.get(number, 0), length):
            return None
        if self.model[0] != len(history):
            rng = np.random.default_rng([self.seed, len(history), 1])
            self.model = (len(history), prospects(SPACE, history, rng, maximize=True))
        decision = self.model[1].decide(self.asked[number], curve) if self.model[1] else None
        if decision is not None:
            self.decided[number] = len(curve)
        return decision

    def end(self, number: int) -> None:
        self.ended.append(number)

    def history(self) -> list[Observation]:
        done = [(self.asked[n], tuple(self.curves[n])) for n in self.ended]
        return [Observation(v, c[-1], c, "Completed" if len(c) == EPOCHS else "Stopped") for v, c in done]

    def choose(self) -> int:
        full = [n for n in self.ended if len(self.curves[n]) == EPOCHS] or self.ended
        if isinstance(self.strategy, Random):
            return max(self.ended, key=lambda n: self.curves[n][-1])
        history = [o for n, o in zip(self.ended, self.history(), strict=True) if n in full]
        if self.foretells:
            everything = dict(zip(self.ended, foreseen(SPACE, self.history()), strict=True))
            rng = np.random.default_rng(self.seed)
            posterior = learn(SPACE, list(everything.values()), rng, maximize=True).posterior
            means, _ = posterior.moments(SPACE.encode_all([self.asked[n] for n in full]))
            return full[int(np.argmax(means))]
        best = best_by_belief(
            SPACE, completed(history, EPOCHS), np.random.default_rng(self.seed), maximize=True
        )
        assert best is not None
        return full[best]


class Peer(Optuna):
    def __init__(self, pruner: Any, seed: int) -> None:
        super().__init__("tpe", SPACE, seed)
        self.study.pruner = pruner
        self.last: dict[int, float] = {}
        self.steps: dict[int, int] = {}

    def report(self, number: int, value: float) -> bool:
        self.last[number] = value
        self.steps[number] = self.steps.get(number, 0) + 1
        self.trials[number].report(value, self.steps[number])
        return bool(self.trials[number].should_prune())

    def end(self, number: int) -> None:
        import optuna

        if self.steps[number] < EPOCHS:
            self.study.tell(self.trials[number], state=optuna.trial.TrialState.PRUNED)
        else:
            self.study.tell(self.trials[number], self.last[number])


def strategies() -> dict[str, Callable[[int], Tuner]]:
    known: dict[str, Callable[[int], Tuner]] = {
        "random": lambda seed: Ours(Random(), seed, median=False),
        "random-median": lambda seed: Ours(Random(), seed, median=True),
        "bayesian": lambda seed: Ours(Bayesian(jobs=JOBS), seed, median=False),
        "bayesian-median": lambda seed: Ours(Bayesian(jobs=JOBS), seed, median=True),
        "bayesian-auto": lambda seed: Ours(Bayesian(jobs=JOBS, forecasts=True), seed, median=True),
        "hyperband": lambda seed: Ours(Hyperband(EPOCHS, 3, jobs=JOBS), seed, median=False),
    }
    if importlib.util.find_spec("optuna"):
        import optuna

        known["tpe"] = lambda seed: Peer(optuna.pruners.NopPruner(), seed)
        known["tpe-median"] = lambda seed: Peer(optuna.pruners.MedianPruner(n_startup_trials=5), seed)
        known["tpe-hyperband"] = lambda seed: Peer(
            optuna.pruners.HyperbandPruner(min_resource=1, max_resource=EPOCHS), seed
        )
    return known


@dataclass(frozen=True)
class Outcome:
    epochs: int
    regret: float
    measured: float


def run_study(tuner: Tuner, seed: int) -> Outcome:
    draws = np.random.default_rng([seed, 78])
    pace, noise = draws.lognormal(0.0, 0.35, JOBS), draws.normal(0.0, NOISE, (JOBS, EPOCHS + 1))
    events: list[tuple[float, int, int]] = []
    values: list[dict[str, str]] = []
    lengths: dict[int, int] = {}
    last: dict[int, float] = {}

    def start(now: float) -> None:
        number = len(values)
        values.append(tuner.ask())
        heapq.heappush(events, (now + pace[number], number, 1))

    for _ in range(PARALLEL):
        start(0.0)
    while events:
        now, number, epoch = heapq.heappop(events)
        last[number] = true(values[number], epoch) + float(noise[number, epoch])
        stop = tuner.report(number, last[number])
        if not stop and epoch < EPOCHS:
            heapq.heappush(events, (now + pace[number], number, epoch + 1))
            continue
        lengths[number] = epoch
        tuner.end(number)
        if len(values) < JOBS:
            start(now)
    regret = {n: optimum_value - true(values[n], lengths[n]) for n in lengths}
    return Outcome(sum(lengths.values()), regret[tuner.choose()], regret[max(last, key=lambda n: last[n])])


optimum_value = optimum()


def study(name: str, seed: int) -> Outcome:
    warnings.filterwarnings("ignore")
    return run_study(strategies()[name](seed), seed)


def error(values: list[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def summary(outcomes: list[Outcome]) -> dict[str, float]:
    saved = [1.0 - each.epochs / (JOBS * EPOCHS) for each in outcomes]
    regrets, measured = [each.regret for each in outcomes], [each.measured for each in outcomes]
    return {
        "seeds": len(outcomes),
        "epochs": statistics.fmean(each.epochs for each in outcomes),
        "saved": statistics.fmean(saved),
        "saved_error": error(saved),
        "regret": statistics.fmean(regrets),
        "regret_error": error(regrets),
        "regret_median": statistics.median(regrets),
        "regret_p90": float(np.quantile(regrets, 0.9)),
        "measured": statistics.fmean(measured),
        "measured_error": error(measured),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strategy", action="append")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=1, help="processes; the figures do not depend on it")
    parser.add_argument("--json")
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    sys.stdout.write(
        "strategy         epochs  saved          regret               median  p90      measured\n"
    )
    with concurrent.futures.ProcessPoolExecutor(options.workers) as pool:
        for name in options.strategy or list(strategies()):
            line = results[name] = summary(list(pool.map(study, [name] * len(seeds), seeds)))
            sys.stdout.write(
                f"{name:15} {line['epochs']:7.0f}  {line['saved']:5.1%} +- {line['saved_error']:4.1%}  "
                f"{line['regret']:.5f} +- {line['regret_error']:.5f}  {line['regret_median']:.5f} "
                f"{line['regret_p90']:.5f}  {line['measured']:.5f} +- {line['measured_error']:.5f}\n"
            )
            sys.stdout.flush()
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
