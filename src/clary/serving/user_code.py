"""The user's script: found, imported, and its functions with the arguments that they ask for."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from clary.serving import stand_ins, tasks
from clary.serving.context import Context
from clary.serving.contract import Contract, code_folder
from clary.serving.faults import LoadFault

USUAL_PROGRAM = "inference.py"
ARGUMENTS = {
    "model_fn": ("model_dir",),
    "input_fn": ("input_data", "content_type"),
    "predict_fn": ("data", "model"),
    "output_fn": ("prediction", "accept"),
    "transform_fn": ("model", "input_data", "content_type", "accept"),
}
Function = Callable[..., Any]
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class SignatureFault(LoadFault, TypeError):
    """A function of the script takes other arguments than the server gives."""


@dataclass(frozen=True, slots=True)
class Functions:
    """Those that the script defines. Each takes its usual arguments; a context is given where it asks for one."""

    model_fn: Function | None
    input_fn: Function | None
    predict_fn: Function | None
    output_fn: Function | None
    transform_fn: Function | None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)


def find(contract: Contract, *models: Path) -> Path | None:
    """The script, or None where there is none. Raises LoadFault for one that is named and missing."""
    folder = code_folder(contract, models)
    name = contract.program or USUAL_PROGRAM
    for path in (folder / name, folder / f"{name}.py"):
        if path.is_file():
            return path
    if name == USUAL_PROGRAM:
        return None
    inside = tasks.what_is_in(folder).replace("the model's folder", "the folder code/ of the model")
    raise LoadFault(
        f"SAGEMAKER_PROGRAM={name}: there is no such file; {inside}. Put the script there, or name another"
    )


def imported(path: Path, folder: Path, context: Context) -> Functions:
    """Runs the script with its folder first among those that modules come from.

    Raises LoadFault where functions cannot go together or take other arguments, and what the script raises.
    """
    for place in (str(path.parent), str(folder)):
        if place not in sys.path:
            sys.path.insert(0, place)
    stand_ins.install()
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        error.add_note(
            f"{path.name} needs the module {error.name}: name its package in code/requirements.txt"
        )
        raise
    return functions(module, context)


def functions(module: Any, context: Context) -> Functions:
    """The functions of a module. Raises LoadFault."""
    found = {name: getattr(module, name) for name in ARGUMENTS if callable(getattr(module, name, None))}
    if "transform_fn" in found and len(mixed := set(found) - {"model_fn"}) > 1:
        others = ", ".join(sorted(mixed - {"transform_fn"}))
        raise LoadFault(
            f"the script defines transform_fn and {others}: transform_fn does the work of input_fn, predict_fn "
            "and output_fn together; keep one or the others"
        )
    ready = {name: _with_context(name, function, context) for name, function in found.items()}
    return Functions(**{name: ready.get(name) for name in ARGUMENTS})


def _with_context(name: str, function: Function, context: Context) -> Function:
    usual = ARGUMENTS[name]
    parameters = list(inspect.signature(function).parameters.values())
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return function
    taken = [parameter for parameter in parameters if parameter.kind in _BY_PLACE]
    if len(taken) == len(usual):
        return function
    if len(taken) == len(usual) + 1:
        return lambda *given: function(*given, context)
    expected = ", ".join(usual)
    raise SignatureFault(
        f"{name} takes {len(taken)} arguments; {name}({expected}) or {name}({expected}, context) expected"
    )
