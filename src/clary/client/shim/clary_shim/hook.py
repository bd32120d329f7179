"""Patch modules of boto3 and the sagemaker SDKs just after they are imported, and those that already are."""

from __future__ import annotations

import sys
from _thread import _local

TYPE_CHECKING = False  # every program started under `clary run` imports this module: it must cost nothing
if TYPE_CHECKING:
    from typing import Any

ROOTS = ("botocore", "aiobotocore", "sagemaker", "sagemaker_core")


class Finder:
    """Lets the other finders find the module, then wraps its loader. Costs others one look into a tuple."""

    def __init__(self) -> None:
        self._under_way = _local()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname.partition(".")[0] not in ROOTS:
            return None
        names = self._under_way.__dict__.setdefault("names", set())
        if fullname in names:  # another tool's finder, which asks everyone as this one does
            return None
        names.add(fullname)
        try:
            spec = self._ask_others(fullname, path, target)
        finally:
            names.discard(fullname)
        if spec is not None and spec.loader is not None:
            _wrap(spec.loader)
        return spec

    def _ask_others(self, fullname: str, path: Any, target: Any) -> Any:
        for finder in list(sys.meta_path):
            find_spec = getattr(finder, "find_spec", None)
            if finder is self or find_spec is None:
                continue
            spec = find_spec(fullname, path, target)
            if spec is not None:
                return spec
        return None


def install() -> None:
    """Watch imports from now on, and patch what is imported already. Doing it again patches what came since."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
    for name, module in list(sys.modules.items()):
        if module is not None and name.partition(".")[0] in ROOTS:
            patch(module)


def patch(module: Any) -> None:
    """Patch one module. A program must not fail for what the shim cannot do, so what goes wrong is only logged."""
    try:
        _patch(module)
    except Exception:  # the boundary to somebody else's program
        import logging

        log = logging.getLogger("clary")
        log.warning("Clary could not adapt %s; it is left as it is", module.__name__, exc_info=True)


def _patch(module: Any) -> None:
    name = module.__name__
    if name in ("botocore.client", "aiobotocore.client"):
        from . import endpoints

        endpoints.patch(module)
    elif name == "botocore.waiter":
        from . import answers

        answers.patch(module)
    elif name.startswith("sagemaker"):
        from . import answers, clock, telemetry

        clock.patch(module)
        telemetry.patch(module)
        answers.patch(module)


def _wrap(loader: Any) -> None:
    """Give this loader an `exec_module` that patches afterwards. The loader keeps its type: resources need it."""
    exec_module = getattr(loader, "exec_module", None)
    if exec_module is None or getattr(exec_module, "clary", False):
        return

    def exec_and_patch(module: Any) -> None:
        exec_module(module)
        patch(module)

    exec_and_patch.clary = True  # type: ignore[attr-defined]
    # a loader without attributes of its own is not one of Python's; its modules stay as they are
    if hasattr(loader, "__dict__"):
        loader.exec_module = exec_and_patch
