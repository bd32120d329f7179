"""Clary: the Amazon SageMaker model workflow on machines you own."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`clary.connect` is imported when asked for: a job's agent, which needs little, imports this package too."""
    if name == "connect":
        # by its name: this package is below all of its rooms, and an import statement would close a circle
        from importlib import import_module

        return import_module("clary.client.connect").connect
    raise AttributeError(f"module 'clary' has no attribute {name!r}")
