import sys
from pathlib import Path

import clary
from clary.runners.interpreter import interpreter_paths, is_within


def test_an_interpreter_that_is_none_needs_nothing() -> None:
    assert interpreter_paths("/nonexistent/python") == ()


def test_links_to_an_interpreter_stay_walkable(tmp_path: Path) -> None:
    link = tmp_path / "versions" / "current"
    link.parent.mkdir()
    link.symlink_to(sys.executable)
    assert any(path in link.parents for path in interpreter_paths(str(link)))


def test_prefixes_and_editable_installs_are_among_them() -> None:
    paths = interpreter_paths(sys.executable)
    for needed in (Path(sys.prefix), Path(sys.base_prefix), Path(clary.__file__).parents[1]):
        assert is_within(needed, paths)
    assert not any(is_within(path, [other]) for path in paths for other in paths if path != other)
