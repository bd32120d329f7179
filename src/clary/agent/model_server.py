"""A program that serves a model over HTTP: its command and environment, whether it answers, and why it failed.

The program is `code/serve` of the model, or the one that the server's table of images names, or Clary's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clary.agent.contract import Model, Outcome, Plan
from clary.agent.faults import REASON_LENGTH, ClientFault
from clary.agent.health import HOST, PATIENCE_S, Health, Port
from clary.agent.model_data import FOLDERS, SUBMITTED, bring_code, bring_model, is_program
from clary.agent.places import OPT_ML, Places
from clary.agent.run import Ended
from clary.agent.s3 import S3
from clary.agent.toolkit import Program, Step

PORT = "SAGEMAKER_BIND_TO_PORT"

_INSTALL = "InstallRequirementsError"
_OWN = ("clary-model-server",)  # as messages name it
_START = """\
import importlib.util, sys
sys.path[:] = [path for path in sys.path if path]
spec = importlib.util.spec_from_file_location("clary", {file!r}, submodule_search_locations=[{folder!r}])
sys.modules["clary"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["clary"])
from clary.serving.main import main
sys.exit(main())
"""
"""Starts Clary's model server in an environment that need not know it: of all that lies beside the package, which may
be the packages of another environment, nothing comes into reach."""

Answering = Callable[[str, Mapping[str, Any]], None]
"""Called once, when the program first answers, with its address and what it said of itself. In another thread."""


class ModelServer:
    """What a `Work` needs to serve a model: the calls are those of `Work`, in the same order."""

    def __init__(
        self, plan: Plan, places: Places, answering: Answering, *, patience_s: float = PATIENCE_S
    ) -> None:
        """`patience_s`: how long a program that has answered may be silent."""
        if plan.model is None:
            raise ClientFault("Nothing says which model to serve.")
        self._plan = plan
        self._model: Model = plan.model
        self._places = places
        self._port = Port()
        self.address = f"{HOST}:{self._port.number}"
        self._code = places.ml / "model" / "code"
        self._is_own = False
        self._health = Health(
            self._port.number,
            lambda report: answering(self.address, report),
            startup_s=plan.model.startup_timeout_s,
            patience_s=patience_s,
        )

    @property
    def variables(self) -> Mapping[str, str]:
        """Those that the model's Environment may replace."""
        ml, model = self._places.seen_ml, self._model
        variables = {
            "SAGEMAKER_BASE_DIR": ml,
            "SAGEMAKER_REGION": self._plan.access.region,
            "SM_MODEL_DIR": f"{ml}/model",
            "CLARY_IMAGE": model.image,
            "CLARY_CPUS": str(self._plan.cpus),
            "TOKENIZERS_PARALLELISM": "false",
        }
        if model.mode == "MultiModel":
            variables |= {"SAGEMAKER_MULTI_MODEL": "true", "CLARY_MODELS_URL": model.data_url}
        return variables

    def stage(self, s3: S3) -> Program:
        """Raises Fault, Interrupted."""
        self._places.make(*FOLDERS)
        environment = self._plan.environment
        bring_model(s3, self._plan, self._places)
        self._code = code = bring_code(s3, self._plan, self._places)
        seen_code = f"{self._places.seen_ml}/{code.relative_to(self._places.ml)}"
        variables = self._turned_paths()
        variables |= {
            PORT: str(self._port.number),
            "SAGEMAKER_BIND_TO_HOST": HOST,
            "CLARY_MODEL_DIR": self._seen_model,
        }
        if environment.get(SUBMITTED, "").startswith("s3://"):
            variables[SUBMITTED] = seen_code
        serve = self._command(seen_code)
        if self._is_own and not environment.get("OMP_NUM_THREADS"):
            variables["OMP_NUM_THREADS"] = "1"  # many workers with one thread each
        return Program([*self._install(seen_code), serve], variables)

    def start(self) -> None:
        self._health.start()

    def is_done(self) -> bool:
        """True when the program does not answer: it is to be ended then."""
        return bool(self._health.fault)

    def finish(self) -> None:
        """The program is gone."""
        self._health.finish()
        self._port.close()

    def judge(self, step: Step, ended: Ended) -> Outcome:
        """Why a program failed that nobody asked to end: it is to serve until it is asked to stop."""
        from clary.agent.failure import explain

        self._health.finish()
        if step.error == _INSTALL:
            reason = self._install_reason(step, ended)
        elif ended.cause == "work":
            reason = _with_last_lines(
                f"AlgorithmError: The program that serves the model {self._health.fault}", ended
            )
        elif ended.exit_code == 0:
            reason = _with_last_lines(
                "AlgorithmError: The program that serves the model ended by itself (exit code 0): it has to run until "
                "it gets SIGTERM.",
                ended,
            )
        else:
            argv = _OWN if self._is_own else step.argv
            reason, _ = explain(error="", argv=argv, exit_code=ended.exit_code, errors=ended.errors)
        return Outcome("Failed", "Failed", 0.0, reason=reason, exit_code=ended.exit_code)

    @property
    def _seen_model(self) -> str:
        return f"{self._places.seen_ml}/model"

    def _turned_paths(self) -> dict[str, str]:
        """Without confinement /opt/ml is the machine's: variables that are paths there, led to the job's own."""
        turned = {name: self._turned(value) for name, value in self._plan.environment.items()}
        return {name: value for name, value in turned.items() if value != self._plan.environment[name]}

    def _turned(self, path: str) -> str:
        is_there = path == OPT_ML or path.startswith(f"{OPT_ML}/")
        return (
            self._places.seen_ml + path[len(OPT_ML) :] if is_there and not self._places.owns_opt_ml else path
        )

    def _command(self, seen_code: str) -> Step:
        if is_program(self._code / "serve"):
            return Step([f"{seen_code}/serve"], seen_code)
        if self._model.serve:
            return Step([self._filled(word) for word in self._model.serve], self._seen_model)
        self._is_own = True
        package = Path(__file__).parents[1]
        program = _START.format(file=str(package / "__init__.py"), folder=str(package))
        return Step([f"{self._places.seen_env}/bin/python", "-c", program], self._seen_model)

    def _filled(self, word: str) -> str:
        return (
            self._turned(word)
            .replace("{port}", str(self._port.number))
            .replace("{model_dir}", self._seen_model)
        )

    def _install(self, seen_code: str) -> Sequence[Step]:
        if not (self._code / "requirements.txt").is_file():
            return ()
        pip = [f"{self._places.seen_env}/bin/python", "-m", "pip", "install", "-r", "requirements.txt"]
        return [Step(pip, seen_code, _INSTALL)]

    def _install_reason(self, step: Step, ended: Ended) -> str:
        from clary.agent.failure import explain
        from clary.agent.requirements import find_line

        if ended.cause == "work":
            return _with_last_lines(
                "AlgorithmError: The packages of code/requirements.txt were not installed within "
                f"{self._model.startup_timeout_s:g} s, the time the model has to start.",
                ended,
            )
        errors = [*ended.errors, *find_line(self._code / "requirements.txt", ended.errors)]
        reason, _ = explain(error=step.error, argv=step.argv, exit_code=ended.exit_code, errors=errors)
        return reason


def _with_last_lines(text: str, ended: Ended) -> str:
    from clary.agent.failure import excerpt

    lead = "\nIts last lines:\n"
    words = excerpt(ended.errors, REASON_LENGTH - len(text) - len(lead))
    return text + lead + words if words else text
