import io

import pytest
from rich.console import Console
from rich.progress import Progress

from clary.cli.demo_progress import Bar, Lines, answer_in, display, readable


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[34m{'loss': '0.5'}\x1b[0m", "{'loss': '0.5'}"),
        ("INFO:botocore.configprovider:Found endpoint", None),
        ("sagemaker.config INFO - Not applying SDK defaults", None),
        ("12:00 Starting - Preparing instancesINFO:botocore.x:Found", "12:00 Starting - Preparing instances"),
        (
            "INFO:sagemaker:Creating training-job with name: demo",
            "INFO:sagemaker:Creating training-job with name: demo",
        ),
        ("", ""),
    ],
)
def test_what_is_worth_reading(line, expected):
    assert readable(line) == expected


def test_a_pipe_gets_plain_lines():
    output = io.StringIO()
    with display(Console(file=output, width=20), epochs=3) as shown:
        shown.show("\x1b[34m[bold] is no markup here, and long lines stay whole\x1b[0m")
    assert isinstance(shown, Lines)
    assert output.getvalue() == "[bold] is no markup here, and long lines stay whole\n"
    assert list(shown.tail) == ["[bold] is no markup here, and long lines stay whole"]


def test_the_bar_follows_the_job():
    progress = Progress(console=Console(file=io.StringIO()))
    bar = Bar(progress, epochs=3)
    bar.show("2026-11-20 12:00:57 Downloading - Downloading input data")
    task = progress.tasks[0]
    assert (task.description, task.started) == ("Downloading", False)
    bar.show("2026-11-20 12:00:57 Training - In progress.")
    bar.show("{'loss': '0.6', 'epoch': '1.5'}")
    assert (task.description, task.started, task.percentage) == ("Training", True, 50)
    bar.show("{'loss': 0.6, 'epoch': 3.0}")
    assert task.finished
    bar.show("2026-11-20 12:00:57 Uploading - Uploading")
    assert task.description == "Uploading"
    bar.show("INFO:sagemaker:Creating endpoint with name demo-1")
    assert task.description == "Deploying"


def test_an_answer_is_read_off_its_line():
    assert answer_in("predicted: positive (0.981)  It is good: yes!") == "positive (0.981)  It is good: yes!"
    assert answer_in("-----!predicted: a") == "a"
    assert answer_in("the unpredicted: no") is None
    assert answer_in("{'loss': '0.5'}") is None
