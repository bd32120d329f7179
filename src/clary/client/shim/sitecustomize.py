"""First on the path of a program started by `clary run`: sets the shim up, then hands on to the user's own file.

Python imports the first `sitecustomize` it finds. This one must therefore find and run the one that it hides.
"""

import os
import sys
from importlib.machinery import PathFinder

import clary_shim  # type: ignore[import-not-found]  # beside this file


def _run_hidden_sitecustomize() -> None:
    # os.path: every program started pays for what is imported here
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    others = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]  # noqa: PTH100
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return
    import importlib.util

    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


try:
    clary_shim.install_from_environment()
finally:
    _run_hidden_sitecustomize()
