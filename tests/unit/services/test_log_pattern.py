import pytest

from clary.services.log_pattern import read_pattern


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "anything", True),
        ("loss", "the loss is 1", True),
        ("loss", "the Loss is 1", False),
        ("loss epoch", "loss 1", False),
        ("loss epoch", "epoch 2 loss 1", True),
        ('"is 1"', "loss is 1", True),
        ('"is 1"', "1 is", False),
        ("?WARN ?ERROR", "ERROR x", True),
        ("?WARN ?ERROR", "INFO x", False),
        ("ERROR -Exiting", "ERROR Exiting", False),
        ('ERROR -"Exiting now"', "ERROR Exiting", True),
    ],
)
def test_terms(pattern, text, expected):
    assert read_pattern(pattern)(text) is expected


@pytest.mark.parametrize("pattern", ["{ $.a = 1 }", "[ip, id]", "%a.*%"])
def test_other_pattern_languages_are_refused_by_name(pattern):
    with pytest.raises(ValueError, match="use terms"):
        read_pattern(pattern)
