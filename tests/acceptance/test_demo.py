"""`clary demo`, run as a user runs it: from the command line, with nothing prepared."""

import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def scratch(tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "work").mkdir()
    yield tmp_path
    assert left_running(tmp_path) == []


@pytest.fixture
def demo(scratch):
    """Starts the demo with options. Its temporary folders lie in the test's own."""
    started = []

    def start(*options):
        process = subprocess.Popen(
            [sys.executable, "-m", "clary.cli.main", "demo", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=scratch / "work",
            env={**os.environ, "TMPDIR": str(scratch / "tmp"), "CLARY_HOME": str(scratch / "not-this-one")},
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(120)
        process.stdout.close()


def processes_of(folder):
    """Command lines of living processes that name the folder or work in it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((entry / "cwd").readlink())
        except OSError:
            continue
        if entry.name.isdigit() and int(entry.name) != os.getpid() and str(folder) in f"{words} {place}":
            found.append(words)
    return found


def left_running(folder):
    """As `processes_of`, once those that are about to end have had the time to."""
    deadline = time.monotonic() + 10
    while (found := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def read_until(process, text):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    pytest.fail(f"{text!r} never came:\n{''.join(lines)}")


def write_program(scratch, text):
    """A user's own train.py, there before the demo lays out its own."""
    program = scratch / "work" / "out" / "source" / "train.py"
    program.parent.mkdir(parents=True)
    program.write_text(text)
    return program


def write_model(scratch, inference):
    """A train.py whose model brings its own inference.py."""
    return write_program(
        scratch,
        "import os, pathlib\n"
        "model = pathlib.Path(os.environ['SM_MODEL_DIR'])\n"
        "(model / 'code').mkdir()\n"
        f"(model / 'code' / 'inference.py').write_text({inference!r})\n",
    )


def test_it_trains_a_model_says_how_good_it_is_asks_it_and_leaves_nothing_else(demo, scratch):
    process = demo("--epochs", "0.1")
    said = process.stdout.read()
    assert process.wait() == 0, said
    assert re.search(r"accuracy +│ 0\.\d{3} │ +0\.567 │", said)
    assert re.search(r"F1 \(macro\) +│ 0\.\d{3} │", said)
    assert re.search(r"model +s3://sagemaker-us-east-1-\d{12}/demo-\S+/output/model\.tar\.gz", said)
    label = r"(positive|negative) \(0\.\d{3}\) "
    assert re.search(rf"its answers +{label} This is a very good product!\n +{label} It broke", said)
    assert "fine_tune.py" in said.partition("Next:")[2]
    output = scratch / "work" / "demo-output"
    with tarfile.open(output / "model.tar.gz") as archive:
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(archive.getnames())
    assert list((scratch / "tmp").glob("clary-demo-*")) == []
    assert not (scratch / "not-this-one").exists()
    assert left_running(scratch) == []


def test_stopped_in_the_middle_it_cleans_up(demo, scratch):
    process = demo()
    read_until(process, "Training - ")
    process.send_signal(signal.SIGINT)
    said = process.stdout.read()
    assert process.wait(60) == 130, said
    assert "nothing is left running" in said
    assert list((scratch / "tmp").glob("clary-demo-*")) == []


def test_stopped_while_it_deploys_it_cleans_up(demo, scratch):
    write_model(scratch, "import time\ndef model_fn(folder):\n    time.sleep(120)\n")
    process = demo("--output", "out")
    read_until(process, "Creating endpoint with name")
    process.send_signal(signal.SIGINT)
    said = process.stdout.read()
    assert process.wait(60) == 130, said
    assert list((scratch / "tmp").glob("clary-demo-*")) == []


def test_a_model_that_cannot_be_served_is_told_with_its_own_error(demo, scratch):
    write_model(scratch, "def model_fn(folder):\n    raise RuntimeError('the cat sits on the weights')\n")
    process = demo("--output", "out")
    said = process.stdout.read()
    assert process.wait() == 1
    tail = said[said.index("Error: ") :]
    assert "had completed" in tail
    assert "the cat sits on the weights" in tail


def test_a_failing_program_is_shown_with_its_own_error_and_kept(demo, scratch):
    program = write_program(scratch, "print('so far so good')\nraise RuntimeError('the dog ate the data')\n")
    process = demo("--output", "out")
    said = process.stdout.read()
    assert process.wait() == 1
    assert f"{Path('out', 'source', 'train.py')} differs from Clary's own" in said
    tail = said[said.index("Error: ") :]
    assert "Failed" in tail
    assert "the dog ate the data" in tail
    assert "so far so good" in tail
    assert "--keep" in tail
    assert "dog" in program.read_text()


def test_kept_the_server_stays_until_it_is_taken_down(demo, scratch):
    write_model(
        scratch,
        "def model_fn(folder):\n    return 'a model'\n"
        "def predict_fn(data, model):\n    return [{'label': model, 'score': 0.5}]\n",
    )
    process = demo("--output", "out", "--keep")
    said = process.stdout.read()
    assert process.wait() == 0, said
    assert "its answers a model (0.500)  This is a very good product!" in said
    (kept,) = (scratch / "tmp").glob("clary-demo-*")
    clary = [sys.executable, "-m", "clary.cli.main"]
    assert f"down --home {kept / 'home'}" in said
    assert subprocess.run([*clary, "status", "--home", kept / "home"], check=False).returncode == 0
    subprocess.run([*clary, "down", "--home", kept / "home"], check=True)
    assert left_running(scratch) == []
