"""The server as it is started in an instance, with small models of the real architectures."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.serving import folders
from tests.unit.serving.running import MAIN, Server, group, serving, wait_until

SENTENCE = "good film The plot was not very fast and the ending of it is slow I love actors scene"
WORDS = SENTENCE.split()
JSON = {"Content_Type": "application/json"}


def text(number: int) -> str:
    """No two are alike, and their lengths differ."""
    return " ".join(WORDS[number * step % len(WORDS)] for step in range(1, 3 + number % 40)) + f" {number}"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("classifier")
    folders.save(folder, "bert", "SequenceClassification")
    with serving(folder, start=MAIN, SAGEMAKER_MODEL_SERVER_WORKERS=2, HF_HUB_OFFLINE=1) as server:
        server.wait_until_ready(2)
        yield server


def classify(server: Server, body: str) -> tuple[int, object]:
    answer = server.ask(body, **JSON)
    return answer.status, json.loads(answer.body)


def test_500_texts_at_once_get_the_answers_they_get_alone(classifier: Server) -> None:
    numbers = range(500)
    bodies = [json.dumps({"inputs": text(number)}) if number % 40 else "{not json" for number in numbers]
    asked = [classifier.threads.submit(classify, classifier, body) for body in bodies]
    together = [future.result() for future in asked]
    assert {status for number, (status, _) in enumerate(together) if number % 40 == 0} == {400}
    for number in numbers:
        if number % 40 and number % 7 == 0:
            status, (alone,) = classify(classifier, bodies[number])  # type: ignore[misc]
            (found,) = together[number][1]  # type: ignore[misc]
            assert (status, found["label"]) == (200, alone["label"])
            assert found["score"] == pytest.approx(alone["score"], abs=1e-5)


def test_a_killed_worker_loses_no_other_request(classifier: Server) -> None:
    victim = max(children(classifier))
    asked = [
        classifier.threads.submit(classify, classifier, json.dumps({"inputs": text(number)}))
        for number in range(200)
    ]
    os.kill(victim, signal.SIGKILL)
    statuses = [future.result()[0] for future in asked]
    assert statuses.count(200) >= 199
    assert set(statuses) <= {200, 500}
    classifier.wait_until_ready(2)


def test_the_process_that_is_forked_has_one_thread(classifier: Server) -> None:
    """Else a worker would hang in its first parallel region."""
    (loader,) = {parent(pid) for pid in children(classifier)}
    assert len(list(Path(f"/proc/{loader}/task").iterdir())) == 1


def test_a_script_of_the_user_answers_in_workers_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(
        "import os\n"
        "def model_fn(model_dir): return os.getpid()\n"
        "def input_fn(data, content_type): return data\n"
        "def predict_fn(data, model): return model\n"
        "def output_fn(prediction, accept): return str(prediction)\n"
    )
    with serving(tmp_path, start=MAIN, SAGEMAKER_MODEL_SERVER_WORKERS=2, HF_HUB_OFFLINE=1) as server:
        server.wait_until_ready(2)
        pid = int(server.ask("x", **JSON).body)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{pid}").exists())
        assert int(server.ask("x", **JSON).body) != pid
        server.wait_until_ready(2)


def test_a_script_that_does_not_load_ends_the_server_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(
        "def model_fn(model_dir):\n    raise RuntimeError('no weights')\n"
    )
    with serving(tmp_path, start=MAIN, HF_HUB_OFFLINE=1) as server:
        assert server.process.wait(60) == 1
        assert server.log().splitlines()[-1] == "RuntimeError: no weights"
        assert "inference.py" in server.log()


def test_generated_text_comes_in_pieces(tmp_path: Path) -> None:
    folders.save_gpt2(tmp_path)
    with serving(tmp_path, start=MAIN, HF_HUB_OFFLINE=1) as server:
        body = json.dumps({"inputs": "good film", "parameters": {"max_new_tokens": 8, "do_sample": False}})
        whole = server.ask(body, **JSON)
        streamed = server.ask(body, X_Clary_Stream="true", **JSON)
        assert whole.status == streamed.status == 200
        assert streamed.headers["transfer-encoding"] == "chunked"
        assert json.loads(whole.body)[0]["generated_text"].endswith(streamed.body.decode().strip())


def children(server: Server) -> list[int]:
    """The workers: the processes that have forked none."""
    pids = group(server.process.pid)
    parents = {parent(pid) for pid in pids}
    return [pid for pid in pids if pid not in parents]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
