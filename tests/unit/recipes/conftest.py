"""Small models and texts that they know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random model of the classes bad, fair and good."""
    names = {0: "bad", 1: "fair", 2: "good"}
    return _saved(tmp_path_factory.mktemp("model"), "SequenceClassification", id2label=names, num_labels=3)


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random model that answers questions."""
    return _saved(tmp_path_factory.mktemp("reader"), "QuestionAnswering", num_labels=2)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """120 texts of 2 to 21 words that the models know, nearly all different."""
    from tests.unit.inference.models import WORDS

    return [" ".join(WORDS[(n * k + k) % len(WORDS)] for k in range(1, 3 + n % 20)) for n in range(120)]


def _saved(folder: Path, kind: str, **changes: Any) -> Path:
    from tests.unit.inference.models import model, tokenizer

    made = model("bert", kind, **changes)
    made.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
