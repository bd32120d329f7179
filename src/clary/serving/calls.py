"""One question to a model and its answer, between the bytes and the arithmetic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from clary.serving.faults import RequestFault

if TYPE_CHECKING:  # a script's environment need not have what models are run with
    from clary.serving.reading import Part

INTERNAL = {  # parameters that name code or objects: a request must not load either
    "assistant_model",
    "custom_generate",
    "generation_config",
    "logits_processor",
    "prefix_allowed_tokens_fn",
    "stopping_criteria",
    "streamer",
    "trust_remote_code",
}


@dataclass(frozen=True, slots=True)
class Call:
    """`pipeline(inputs, **parameters)`."""

    inputs: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What it gives; `note` is for the client, of what was done to the inputs."""

    value: Any
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """A call made ready: what the model is to run over, and what makes the answer of its outputs, in that order."""

    parts: Sequence[Part]
    finish: Callable[[Sequence[Any]], Any]
    note: str | None = None


class Predictor(Protocol):
    """A model for one task."""

    def several(self, calls: Sequence[Call]) -> Sequence[Answer | Exception]:
        """One each, in order; a call that fails does so alone."""
        ...

    def __call__(self, inputs: Any, **parameters: Any) -> Any:
        """One call, as a pipeline is called. Raises what went wrong."""
        ...


class OneByOne(ABC):
    """A Predictor that works through calls one after the other."""

    def __call__(self, inputs: Any, **parameters: Any) -> Any:
        return self._answered(Call(inputs, parameters)).value

    def several(self, calls: Sequence[Call]) -> list[Answer | Exception]:
        return [self._tried(call) for call in calls]

    def _tried(self, call: Call) -> Answer | Exception:
        try:
            return self._answered(call)
        except Exception as error:  # noqa: BLE001 - the caller answers it
            return error

    @abstractmethod
    def _answered(self, call: Call) -> Answer:
        """Raises what went wrong."""


def call_of(document: Any) -> Call:
    """The call that a decoded body asks for: its `inputs` (or all of it) and its `parameters`. Raises RequestFault."""
    if not isinstance(document, dict):
        return Call(document)
    rest = dict(document)
    parameters = rest.pop("parameters", None)
    if parameters is not None and not isinstance(parameters, dict):
        raise RequestFault(f"parameters: an object expected, not {shown(parameters)}")
    if internal := sorted(INTERNAL & set(parameters or {})):
        raise RequestFault(f"parameters.{internal[0]}: not for a request to say")
    inputs = rest.pop("inputs") if "inputs" in rest else rest
    return Call(inputs, parameters or {})


def texts_of(inputs: Any) -> list[str]:
    """A text, or several, as a list. Raises RequestFault."""
    texts = inputs if isinstance(inputs, list) else [inputs]
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise RequestFault(f"inputs[{number}]: a text expected, not {shown(text)}")
    return list(texts)


def shown(value: Any) -> str:
    """A value for a message, short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
