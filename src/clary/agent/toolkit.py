"""What SageMaker's training toolkit does in an image: fetch the user's code, install what it asks for, run it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clary.agent.contract import Plan
from clary.agent.faults import ClientFault
from clary.agent.places import OPT_ML, Places
from clary.agent.s3 import S3, parse_uri
from clary.agent.variables import (
    Hyperparameters,
    joined_path,
    split_hyperparameters,
    to_arguments,
    toolkit_variables,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One process to run. `error` is the toolkit's name for its failure; empty where the program speaks for itself."""

    argv: Sequence[str]
    cwd: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """The steps in their order, and what their environment has in addition."""

    steps: Sequence[Step]
    variables: Mapping[str, str]


def make_program(plan: Plan, places: Places, s3: S3) -> Program:
    """Raises ClientFault when nothing says what to run, or the code cannot be had."""
    try:
        return _program(plan, places, s3)
    except RecursionError:
        raise ClientFault(
            "A hyperparameter is JSON with more levels than Python reads: nest it less."
        ) from None


def _program(plan: Plan, places: Places, s3: S3) -> Program:
    refuse_unreachable(plan, places)
    if plan.entrypoint:
        cwd = "/" if places.confined else str(places.ml)
        return Program([Step([*plan.entrypoint, *plan.arguments], cwd)], {})
    hyperparameters = split_hyperparameters(plan.hyperparameters)
    entry_point, module_dir = _submission(plan, hyperparameters)
    _fetch_code(s3, module_dir, places)
    code = places.ml / "code"
    if not _is_in(code, entry_point) and not _is_command(entry_point):
        raise ClientFault(
            f"The entry point {entry_point!r} (sagemaker_program) is not in the code from {module_dir!r}. "
            f"It holds: {_listing(code)}"
        )
    variables = toolkit_variables(
        plan, places, hyperparameters, entry_point=entry_point, module_dir=module_dir
    )
    seen_code = f"{places.seen_ml}/code"
    variables["PYTHONPATH"] = joined_path(seen_code, plan.environment.get("PYTHONPATH", ""))
    arguments = to_arguments(hyperparameters.user)
    return Program(
        _steps(code, seen_code, f"{places.seen_env}/bin/python", entry_point, arguments), variables
    )


def _submission(plan: Plan, hyperparameters: Hyperparameters) -> tuple[str, str]:
    reserved, environment = hyperparameters.reserved, plan.environment
    entry_point = reserved.get("sagemaker_program") or environment.get("SAGEMAKER_PROGRAM")
    module_dir = reserved.get("sagemaker_submit_directory") or environment.get("SAGEMAKER_SUBMIT_DIRECTORY")
    if not entry_point:
        raise ClientFault(
            "Nothing says which program to run. Use a framework estimator with entry_point=..., or give the "
            "hyperparameters sagemaker_program and sagemaker_submit_directory, or "
            "AlgorithmSpecification.ContainerEntrypoint."
        )
    if not module_dir:
        raise ClientFault(
            f"The program {entry_point!r} was named (sagemaker_program) but not where its code is: give the "
            "hyperparameter sagemaker_submit_directory, the S3 location of a sourcedir.tar.gz."
        )
    return str(entry_point), str(module_dir)


def _fetch_code(s3: S3, module_dir: str, places: Places) -> None:
    """Into /opt/ml/code, unless something is there already."""
    code = places.ml / "code"
    if any(code.iterdir()):
        return
    if module_dir.startswith("s3://"):
        archive = places.folder / "sourcedir.tar.gz"
        from clary.agent.unpack import unpack

        s3.get(parse_uri(module_dir), archive)
        unpack(archive, code, module_dir)
        archive.unlink()
        return
    source = places.on_disk(module_dir.removeprefix("file://"))
    if source is None or not source.is_dir():
        raise ClientFault(
            f"sagemaker_submit_directory is {module_dir!r}: give an s3:// location of a tar archive, or a directory "
            f"below {OPT_ML} that a channel brings."
        )
    if source != code:
        code.rmdir()
        code.symlink_to(os.path.relpath(source, code.parent))


def _steps(code: Path, seen_code: str, python: str, entry_point: str, arguments: Sequence[str]) -> list[Step]:
    install = [python, "-m", "pip", "install"]
    requirements = ["-r", "requirements.txt"] if (code / "requirements.txt").is_file() else []
    steps = []
    if (code / "setup.py").is_file() and not entry_point.endswith(".sh"):
        steps.append(Step([*install, ".", *requirements], seen_code, "InstallModuleError"))
        module = entry_point.removesuffix(".py").replace("/", ".")
        run = [python, "-m", module, *arguments]
    elif entry_point.endswith(".py"):
        if requirements:
            steps.append(Step([*install, *requirements], seen_code, "InstallRequirementsError"))
        run = [python, entry_point, *arguments]
    else:
        run = _shell(code, entry_point, arguments)
    steps.append(Step(run, seen_code, "ExecuteUserScriptError"))
    return steps


def _shell(code: Path, entry_point: str, arguments: Sequence[str]) -> list[str]:
    script = code / entry_point
    if _is_in(code, entry_point):
        script.chmod(0o777)
    return [
        "/bin/sh",
        "-c",
        shlex.join([f"./{entry_point}" if _is_in(code, entry_point) else entry_point, *arguments]),
    ]


def _is_in(code: Path, entry_point: str) -> bool:
    """Whether it names a file of the code, and no other of the machine."""
    path = code / entry_point
    if not os.path.isfile(path):  # noqa: PTH113 - False, too, for what cannot be a file's name
        return False
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(code))


def _is_command(entry_point: str) -> bool:
    return not entry_point.endswith((".py", ".sh")) and "/" not in entry_point


def refuse_unreachable(plan: Plan, places: Places) -> None:
    """Without confinement /opt/ml is the machine's, not the job's: a program told to use it would miss its files."""
    if places.owns_opt_ml:
        return
    user = split_hyperparameters(plan.hyperparameters).user
    given = [("ContainerEntrypoint", text) for text in plan.entrypoint]
    given += [("ContainerArguments", text) for text in plan.arguments]
    given += [(f"Environment.{name}", text) for name, text in plan.environment.items()]
    given += [(f"HyperParameters.{name}", str(value)) for name, value in user.items() if not plan.entrypoint]
    for name, text in given:
        if OPT_ML in text:
            raise ClientFault(
                f"{name} names {OPT_ML} ({text[:120]!r}), which this machine cannot give the job: that takes "
                f"bubblewrap (isolation is {plan.isolation!r}). Install bubblewrap and let it use user namespaces, "
                "or take the places from the SM_* variables."
            )


def _listing(code: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in code.iterdir())
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "") or "nothing"
