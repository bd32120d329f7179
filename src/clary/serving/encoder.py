"""Calls of several clients, run as one batch without padding and split again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clary.serving.calls import Answer, Call, Predictor, Work
from clary.serving.reading import Reader

Plan = Callable[[Call], Work | None]


class EncoderPredictor:
    """Runs what `plan` makes ready. What it leaves (None) goes to the predictor that `otherwise` gives."""

    def __init__(self, reader: Reader, plan: Plan, otherwise: Callable[[], Predictor]) -> None:
        self._reader, self._plan, self._otherwise = reader, plan, otherwise

    def __call__(self, inputs: Any, **parameters: Any) -> Any:
        (result,) = self.several([Call(inputs, parameters)])
        if isinstance(result, Exception):
            raise result
        return result.value

    def several(self, calls: Sequence[Call]) -> list[Answer | Exception]:
        planned = [self._planned(call) for call in calls]
        works = [work for work in planned if isinstance(work, Work)]
        results = dict(zip(map(id, works), self._worked(works), strict=True))
        return [
            results[id(plan)] if isinstance(plan, Work) else self._other(call, plan)
            for call, plan in zip(calls, planned, strict=True)
        ]

    def _planned(self, call: Call) -> Work | Exception | None:
        try:
            return self._plan(call)
        except Exception as error:  # noqa: BLE001 - the caller answers it
            return error

    def _other(self, call: Call, plan: Exception | None) -> Answer | Exception:
        if plan is not None:
            return plan
        try:
            (result,) = self._otherwise().several([call])
        except Exception as error:  # noqa: BLE001 - the caller answers it
            return error
        return result

    def _worked(self, works: Sequence[Work]) -> list[Answer | Exception]:
        """A batch that fails is run call by call: only what fails alone has failed."""
        try:
            outputs = self._reader.run([part for work in works for part in work.parts])
        except Exception as error:  # noqa: BLE001 - the caller answers it
            if len(works) == 1:
                return [error]
            return [result for work in works for result in self._worked([work])]
        finished, first = [], 0
        for work in works:
            last = first + len(work.parts)
            finished.append(_finished(work, outputs[first:last]))
            first = last
        return finished


def _finished(work: Work, outputs: Sequence[Any]) -> Answer | Exception:
    try:
        return Answer(work.finish(outputs), work.note)
    except Exception as error:  # noqa: BLE001 - the caller answers it
        return error
