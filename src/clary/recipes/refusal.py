"""Why an evaluation cannot be made."""

from __future__ import annotations


class CannotEvaluate(Exception):
    """The data, the model or the wish cannot be evaluated; the message names the place and the fix."""
