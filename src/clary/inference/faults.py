"""What can go wrong before a model runs, said so that the reader can mend it."""

from __future__ import annotations


class ModelFault(Exception):
    """The model, its tokenizer or its archive cannot be used; the message names it and the fix."""


class TaskFault(ModelFault):
    """The model has another head than the method asked for."""
