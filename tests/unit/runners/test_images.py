import sys
from pathlib import Path

import pytest

from clary.runners.images import Images, parse_images
from clary.runners.tables import TableFault

TABLE = f"""
[images]
"*/mine:*" = {{ serve = ["python", "/srv/serve.py", "--port", "{{port}}"] }}
"*/old:1.[01]" = {{ python = "{sys.executable}" }}
"*/old:*" = {{ serve = ["old"], python = "/bin/sh" }}
"""


def test_the_first_row_that_matches_says_what_an_image_stands_for(tmp_path: Path) -> None:
    (tmp_path / "images.toml").write_text(TABLE)
    images = Images.read(tmp_path, "/usr/bin/python3")
    assert images.serve("registry/mine:7") == ("python", "/srv/serve.py", "--port", "{port}")
    assert images.python("registry/mine:7") == "/usr/bin/python3"
    assert (images.python("a/old:1.1"), images.serve("a/old:1.1")) == (sys.executable, ())
    assert (images.python("a/old:1.2"), images.serve("a/old:1.2")) == ("/bin/sh", ("old",))
    for unheard_of in ("", "mine", "[x"):
        assert (images.python(unheard_of), images.serve(unheard_of)) == ("/usr/bin/python3", ())


def test_without_a_table_there_is_one_environment(tmp_path: Path) -> None:
    images = Images.read(tmp_path, "/usr/bin/python3")
    assert (images.python("any"), images.serve("any")) == ("/usr/bin/python3", ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[images", "images.toml: "),
        ("[pictures]", "holds one table named [images]"),
        ("images = 1", "holds one table named [images]"),
        ("[images]\n[more]", "and nothing beside it"),
        ('[images]\n"a*" = 1', """line 2, 'a*': say { serve = ["python", "/srv/serve.py"] }"""),
        ("[images]\na = {}", "line 2, 'a': say { serve"),
        ('[images]\na = { sevre = ["x"] }', "line 2, 'a': unknown field 'sevre'; there are serve, python"),
        ('[images]\na = { serve = "python x" }', "serve = 'python x': say a command as a list"),
        ("[images]\na = { serve = [] }", "serve = []: say a command as a list"),
        ('[images]\na = { serve = ["a", 1] }', "every word of the command is a text"),
        ('[images]\na = { serve = ["a", ""] }', "every word of the command is a text that is not empty"),
        ('[images]\na = { python = "python3" }', "python = 'python3': say the whole path"),
        ("[images]\na = { python = 3 }", "python = 3: say the whole path"),
        (
            '[images]\na = { python = "/nowhere/python" }',
            "python = '/nowhere/python': there is no such program",
        ),
        ('[images]\na = { python = "/etc/passwd" }', "there is no such program"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(TableFault) as fault:
        parse_images(text, "images.toml")
    assert message in str(fault.value)


def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.toml").write_bytes(b"\xff")
    with pytest.raises(TableFault, match="cannot be read"):
        Images.read(tmp_path, "/usr/bin/python3")
