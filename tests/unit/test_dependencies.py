"""Every dependency is listed with its reason."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"].values()
NAMES = {
    re.split(r"[\[>=<; ]", line)[0]
    for line in [*PROJECT["project"]["dependencies"], *(line for lines in EXTRAS for line in lines)]
}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_dependency_has_its_reason(name: str) -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert any(re.search(rf"\b{re.escape(name)}\b", row) for row in rows), (
        f"docs/dependencies.md lacks {name}"
    )
