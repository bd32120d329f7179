"""The reference pages say what the code does: an undocumented setting, command or operation fails here."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["settings.md", "commands.md", "operations.md"])
def test_a_page_is_what_the_code_says(pages: ModuleType, name: str) -> None:
    assert (DOCS / "reference" / name).read_text("utf-8") == pages.PAGE_MAKERS[name]()


def test_every_operation_says_what_it_does(pages: ModuleType) -> None:
    pages.operations_page()
    assert [key for key, function in pages.OPERATIONS.items() if not function.__doc__] == []


def test_every_link_between_pages_leads_somewhere() -> None:
    import re

    for page in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
