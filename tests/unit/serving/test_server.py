"""The whole server as real processes with a model that does what it is told."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serving.running import Server, group, serving, wait_until


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(tmp_path, **getattr(request, "param", {})) as server:
        yield server


def configured(**environment: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("server", [environment], indirect=True)


def said(body: bytes) -> Any:
    return json.loads(body)


def test_answers_with_what_the_handler_says(server: Server) -> None:
    answer = server.ask("echo hello")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-custom"] == "yes"


def test_the_handler_sees_type_accept_and_headers(server: Server) -> None:
    answer = server.ask(
        "headers", Content_Type="text/csv", Accept="text/html", X_Amzn_SageMaker_Custom_Attributes="a=b"
    )
    content_type, accept, headers = said(answer.body)
    assert (content_type, accept) == ("text/csv", "text/html")
    assert headers["x-amzn-sagemaker-custom-attributes"] == "a=b"
    assert said(server.ask("headers").body)[:2] == ["", ""]


@configured(SAGEMAKER_MODEL_SERVER_WORKERS=3)
def test_ping_tells_workers_and_report(server: Server) -> None:
    server.wait_until_ready(3)
    answer = server.get("/ping")
    assert answer.status == 200
    assert said(answer.body) == {"workers": 3, "way": "told"}


@configured(TEST_LOADS="wait")
def test_ping_is_503_until_the_model_is_loaded_and_requests_wait(server: Server) -> None:
    assert server.get("/ping").status == 503
    early = server.asking("echo early")
    (server.folder / "go").touch()
    assert early.result().body == b"early"
    assert server.get("/ping").status == 200


@configured(SAGEMAKER_MODEL_SERVER_WORKERS=2)
def test_workers_of_a_shared_model_load_it_once(server: Server) -> None:
    server.wait_until_ready(2)
    gate, held = server.begin("gate")
    loaders = {said(server.ask("loaded").body) for _ in range(3)}
    other = said(server.ask("pid").body)
    gate.touch()
    assert held.result().status == 200
    assert server.loads() == 1
    assert len(loaders) == 1
    assert other not in loaders


@configured(SAGEMAKER_MODEL_SERVER_WORKERS=2, TEST_SHARED="no")
def test_workers_load_for_themselves_where_they_cannot_share(server: Server) -> None:
    server.wait_until_ready(2)
    answer = server.ask("echo x; loaded")
    assert server.loads() == 2
    assert said(answer.body) == said(server.ask("pid").body) or server.ask("echo").status == 200


@configured(SAGEMAKER_MODEL_SERVER_WORKERS=2, TEST_LOADS="thread")
def test_a_loader_with_threads_is_not_forked(server: Server) -> None:
    server.wait_until_ready(2)
    assert server.loads() == 2
    assert "left 1 threads behind" in server.log()


@configured(SAGEMAKER_MODEL_SERVER_WORKERS=3, TEST_LOADS="random")
def test_workers_share_a_model_but_no_random_numbers_and_no_output(server: Server) -> None:
    server.wait_until_ready(3)
    server.ask("die")
    server.wait_until_ready(3)
    futures = [server.asking("sleep 0.2; random") for _ in range(6)]
    drawn = [said(future.result().body) for future in futures]
    numbers = [number for numbers in drawn for number in numbers]
    assert (len(numbers), len(set(numbers))) == (18, 18)
    assert server.stop() == 0
    assert server.log().count("half a line") == 1


@configured(SAGEMAKER_MODEL_SERVER_WORKERS=2)
def test_a_killed_worker_fails_its_own_request_only(server: Server) -> None:
    server.wait_until_ready(2)
    before = said(server.ask("pid").body)
    answer = server.ask("die")
    assert answer.status == 500
    assert said(answer.body)["type"] == "WorkerDied"
    assert "SIGKILL" in said(answer.body)["message"]
    assert "not tried again" in said(answer.body)["message"]
    server.wait_until_ready(2)
    assert server.ask("echo on").body == b"on"
    assert server.loads() == 1
    assert before in group(server.process.pid) or "another takes its place" in server.log()


@configured(TEST_SHARED="no")
def test_an_idle_worker_that_is_killed_is_replaced(server: Server) -> None:
    for _ in range(4):
        pid = said(server.ask("pid").body)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: pid not in group(server.process.pid))  # type: ignore[misc]
    assert server.ask("echo on").status == 200
    assert server.loads() >= 4


@configured(SAGEMAKER_MODEL_SERVER_TIMEOUT=0.3)
def test_a_request_over_the_time_limit_gets_504_that_names_the_setting(server: Server) -> None:
    wait_until(lambda: server.get("/ping").status == 200)
    answer = server.ask("sleep 600")
    assert answer.status == 504
    assert "SAGEMAKER_MODEL_SERVER_TIMEOUT" in said(answer.body)["message"]
    assert server.ask("echo on").body == b"on"


@configured(SAGEMAKER_MODEL_SERVER_TIMEOUT=0.5, TEST_LOADS="wait")
def test_a_request_that_waited_too_long_is_turned_away_unbegun(server: Server) -> None:
    answer = server.ask(f"touch {server.folder}/begun")
    assert answer.status == 503
    assert answer.headers["x-clary-refused"] == "queue"
    (server.folder / "go").touch()
    wait_until(lambda: server.get("/ping").status == 200)
    assert server.ask("echo on").body == b"on"
    assert not (server.folder / "begun").exists()


def test_a_request_is_not_begun_when_nobody_waits_for_it_any_more(server: Server) -> None:
    wait_until(lambda: server.get("/ping").status == 200)
    gate, held = server.begin("gate")
    answer = server.ask(f"touch {server.folder}/begun", X_Clary_Timeout="0.2")
    assert (answer.status, answer.headers["x-clary-refused"]) == (503, "queue")
    assert "in 0.2 s" in said(answer.body)["message"]
    gate.touch()
    assert held.result().status == 200
    assert server.ask("echo on").body == b"on"
    assert not (server.folder / "begun").exists()


@configured(CLARY_QUEUE=2)
def test_more_than_the_queue_takes_is_refused_with_its_length(server: Server) -> None:
    wait_until(lambda: server.get("/ping").status == 200)
    gate, held = server.begin("gate")
    asked = [server.asking(f"echo {number}") for number in range(5)]
    wait_until(lambda: sum(future.done() for future in asked) == 3)
    gate.touch()
    answers = [future.result() for future in asked]
    refused = [answer for answer in answers if answer.status == 503]
    assert held.result().status == 200
    assert len(refused) == 3
    for answer in refused:
        assert answer.headers["x-clary-refused"] == "queue"
        assert said(answer.body) == said(refused[0].body)
        assert "2 requests of 0 MB wait" in said(answer.body)["message"]
        assert "CLARY_QUEUE" in said(answer.body)["message"]
    assert [answer.body for answer in answers if answer.status == 200] == [
        str(number).encode() for number, answer in enumerate(answers) if answer.status == 200
    ]


@configured(CLARY_QUEUE=1)
def test_a_request_whose_client_has_gone_is_dropped_from_the_queue(server: Server) -> None:
    wait_until(lambda: server.get("/ping").status == 200)
    gate, held = server.begin("gate")
    leaving = server.connect()
    leaving.request("POST", "/invocations", f"touch {server.folder}/touched".encode())
    server.take_notice()
    assert server.ask("echo refused").status == 503
    leaving.close()
    server.take_notice()
    staying = server.asking("echo stays")
    gate.touch()
    assert held.result().status == 200
    assert staying.result().body == b"stays"
    assert not (server.folder / "touched").exists()


@configured(TEST_BATCH=8)
def test_waiting_requests_are_answered_together(server: Server) -> None:
    wait_until(lambda: server.get("/ping").status == 200)
    gate, held = server.begin("gate")
    connections = [server.connect() for _ in range(10)]
    for connection in connections:
        connection.request("POST", "/invocations", b"size")
    server.take_notice()
    gate.touch()
    sizes = [int(connection.getresponse().read()) for connection in connections]
    for connection in connections:
        connection.close()
    assert held.result().status == 200
    assert sorted(sizes) == [2, 2, *[8] * 8]


@configured(TEST_BATCH=8, SAGEMAKER_MODEL_SERVER_WORKERS=2)
def test_a_worker_takes_its_share_and_leaves_the_rest_to_the_other(server: Server) -> None:
    server.wait_until_ready(2)
    gate, held = server.begin("gate")
    other_gate, other_held = server.begin("other_gate")
    connections = [server.connect() for _ in range(6)]
    for connection in connections:
        connection.request("POST", "/invocations", b"size")
    server.take_notice()
    gate.touch()
    first = int(connections[0].getresponse().read())
    other_gate.touch()
    for connection in connections:
        connection.close()
    assert held.result().status == other_held.result().status == 200
    assert first == 3


@configured(TEST_BATCH=8)
def test_one_that_kills_its_worker_does_not_sink_its_batch(server: Server) -> None:
    wait_until(lambda: server.get("/ping").status == 200)
    gate, held = server.begin("gate")
    connections = [server.connect() for _ in range(5)]
    for number, connection in enumerate(connections):
        connection.request("POST", "/invocations", b"die" if number == 2 else b"echo %d" % number)
    server.take_notice()
    gate.touch()
    responses = [connection.getresponse() for connection in connections]
    bodies = [response.read() for response in responses]
    for connection in connections:
        connection.close()
    assert held.result().status == 200
    assert [response.status for response in responses] == [200, 200, 500, 200, 200]
    assert [body for number, body in enumerate(bodies) if number != 2] == [b"0", b"1", b"3", b"4"]
    assert "SIGKILL" in said(bodies[2])["message"]


@configured(TEST_BATCH=4, SAGEMAKER_MODEL_SERVER_TIMEOUT=1.5)
def test_one_that_takes_too_long_does_not_sink_its_batch(server: Server) -> None:
    wait_until(lambda: server.get("/ping").status == 200)
    gate, held = server.begin("gate")
    connections = [server.connect() for _ in range(3)]
    for number, connection in enumerate(connections):
        connection.request("POST", "/invocations", b"sleep 600" if number == 1 else b"echo %d" % number)
    server.take_notice()
    gate.touch()
    statuses = []
    for connection in connections:
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
        connection.close()
    assert held.result().status == 200
    assert statuses == [200, 504, 200]


@pytest.mark.parametrize(
    ("word", "message"),
    [("raise", "ValueError: told to"), ("exit", "SystemExit: 3"), ("few", "0 answers to 1 requests")],
)
def test_a_handler_that_breaks_its_promise_answers_500_and_goes_on(
    server: Server, word: str, message: str
) -> None:
    pid = server.ask("pid").body
    answer = server.ask(word)
    assert answer.status == 500
    assert message in said(answer.body)["message"]
    assert server.ask("pid").body == pid


@pytest.mark.parametrize("status", [99, 100, 600])
def test_a_status_that_no_answer_can_have_is_told(server: Server, status: int) -> None:
    answer = server.ask(f"status {status}")
    assert (answer.status, json.loads(answer.body)["type"]) == (500, "InternalServerException")
    answer = server.ask("status 299")
    assert (answer.status, answer.headers["x-number"]) == (299, "5")


@configured(SAGEMAKER_MODEL_SERVER_WORKERS=3, TEST_BATCH=16)
def test_500_at_once_each_get_their_own_answer(server: Server) -> None:
    """Long and short answers, bad ones, and a worker killed among them."""
    server.wait_until_ready(3)
    texts = [f"id-{number}-" + "x" * random.Random(number).choice([1, 10, 70_000]) for number in range(500)]

    async def ask(number: int) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 20)
        body = b"bad" if number % 50 == 7 else f"echo {texts[number]}".encode()
        writer.write(
            b"POST /invocations HTTP/1.1\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
        )
        writer.write(body)
        answer = await reader.read(-1)
        writer.close()
        await writer.wait_closed()
        head, _, content = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), content

    async def all_of_them() -> list[tuple[int, bytes]]:
        asked = [asyncio.create_task(ask(number)) for number in range(500)]
        await asyncio.to_thread(server.ask, "die")
        return await asyncio.gather(*asked)

    answers = asyncio.run(all_of_them())
    wrong = [
        (number, status)
        for number, (status, content) in enumerate(answers)
        if number % 50 != 7 and (status != 200 or content != texts[number].encode())
    ]
    assert wrong == []
    assert {status for number, (status, _) in enumerate(answers) if number % 50 == 7} == {400}


def test_a_connection_is_kept_and_carries_pipelined_requests(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        one = b"POST /invocations HTTP/1.1\r\nContent-Length: 6\r\n\r\necho %d"
        client.sendall(one % 1 + one % 2 + b"GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b"\r\n\r\n1") < answer.index(b"\r\n\r\n2") < answer.index(b'"workers"')


@configured(SAGEMAKER_MAX_PAYLOAD_IN_MB=1)
def test_a_body_over_the_limit_is_refused_whole_or_in_chunks(server: Server) -> None:
    body = b"echo " + b"x" * 1_048_571
    assert server.ask(body).body == body[5:]
    answer = server.ask(body + b"x")
    assert answer.status == 413
    assert said(answer.body)["code"] == 413
    assert "SAGEMAKER_MAX_PAYLOAD_IN_MB" in said(answer.body)["message"]
    connection = server.connect()
    connection.request("POST", "/invocations", iter([body, b"xy"]))
    assert connection.getresponse().status == 413
    connection.close()


def test_other_paths_and_methods_are_refused_in_json(server: Server) -> None:
    for method, path, status in [
        ("GET", "/nothing", 404),
        ("GET", "/invocations", 405),
        ("POST", "/ping", 405),
        ("GET", "/models", 404),
    ]:
        answer = server.ask(method=method, path=path)
        assert (answer.status, said(answer.body)["code"]) == (status, status), path


def test_execution_parameters_for_transform_jobs(server: Server) -> None:
    assert said(server.get("/execution-parameters").body) == {
        "MaxConcurrentTransforms": 2,
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": 6,
    }


def test_a_stream_comes_in_pieces_as_they_are_made(server: Server) -> None:
    answer = server.ask("3", X_Clary_Stream="true")
    assert answer.body == b"piece 0;piece 1;piece 2;"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert server.ask("3", X_Clary_Stream="true", Accept="text/event-stream").headers["content-type"] == (
        "text/event-stream"
    )
    assert server.ask("0", X_Clary_Stream="true").body == b""
    assert server.ask("echo on").body == b"on"


def test_a_stream_that_cannot_begin_is_answered_as_an_error(server: Server) -> None:
    bad = server.ask("bad", X_Clary_Stream="true")
    assert (bad.status, said(bad.body)["type"]) == (400, "BadInput")
    raised = server.ask("0 raise", X_Clary_Stream="true")
    assert raised.status == 500
    died = server.ask("0 die", X_Clary_Stream="true")
    assert (died.status, said(died.body)["type"]) == (500, "WorkerDied")


@pytest.mark.parametrize("how", ["raise", "die"])
def test_a_stream_that_breaks_has_no_end(server: Server, how: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        body = f"2 {how}".encode()
        client.sendall(
            b"POST /invocations HTTP/1.1\r\nX-Clary-Stream: true\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        answer = b""
        try:
            while data := client.recv(65536):
                answer += data
        except ConnectionResetError:
            pass
    assert not answer.endswith(b"0\r\n\r\n")
    assert server.ask("echo on").body == b"on"


def test_a_stream_nobody_listens_to_is_ended(server: Server) -> None:
    pid = server.ask("pid").body
    closed = server.folder / "closed"
    connection = server.connect()
    connection.request("POST", "/invocations", f"1000000000 {closed}".encode(), {"X-Clary-Stream": "true"})
    response = connection.getresponse()
    assert response.read(8) == b"piece 0;"
    response.close()
    connection.close()
    wait_until(closed.exists)
    assert server.ask("pid").body == pid


@configured(SAGEMAKER_MODEL_SERVER_TIMEOUT=1)
def test_a_client_that_takes_nothing_does_not_hold_a_worker_for_ever(server: Server) -> None:
    closed = server.folder / "closed"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        body = f"1000000 {closed} 10000".encode()
        client.sendall(
            b"POST /invocations HTTP/1.1\r\nX-Clary-Stream: true\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        wait_until(closed.exists)
    assert server.ask("echo on").body == b"on"


@configured(SAGEMAKER_MODEL_SERVER_WORKERS=2)
@pytest.mark.parametrize("end", [os.kill, os.killpg])
def test_sigterm_finishes_what_is_in_work(server: Server, end: Callable[[int, int], None]) -> None:
    server.wait_until_ready(2)
    gate, held = server.begin("gate")
    idle = server.connect()
    idle.request("GET", "/ping")
    idle.getresponse().read()
    end(server.process.pid, signal.SIGTERM)

    def refuses() -> bool:
        try:
            server.get("/ping")
        except OSError:
            return True
        return False

    wait_until(refuses)
    gate.touch()
    answer = held.result()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert server.process.wait(60) == 0
    assert group(server.process.pid) == []
    idle.close()


@configured(TEST_LOADS="raise")
def test_a_model_that_cannot_be_loaded_ends_the_server_with_the_traceback(server: Server) -> None:
    assert server.process.wait(60) == 1
    lines = server.log().splitlines()
    assert "Traceback (most recent call last):" in lines
    assert lines[-1] == "ValueError: no such weights"
    assert server.loads() == 1
    wait_until(lambda: group(server.process.pid) == [])


@configured(TEST_LOADS="die")
def test_a_process_killed_while_it_loads_ends_the_server(server: Server) -> None:
    assert server.process.wait(60) == 1
    assert "the process that loaded the model was killed by SIGKILL" in server.log()
    assert server.loads() == 1


@configured(TEST_SHARED="no", TEST_LOADS="good raise")
def test_a_worker_that_cannot_be_replaced_ends_the_server(server: Server) -> None:
    wait_until(lambda: server.get("/ping").status == 200)
    assert server.ask("die").status == 500
    assert server.process.wait(60) == 1
    assert server.log().splitlines()[-1] == "ValueError: no such weights"
    assert server.loads() == 4


@configured(TEST_SHARED="no", TEST_LOADS="good raise die good")
def test_a_worker_is_replaced_after_a_failure_or_two(server: Server) -> None:
    wait_until(lambda: server.get("/ping").status == 200)
    assert server.ask("die").status == 500
    assert server.ask("echo on").body == b"on"
    assert server.loads() == 4


@configured(SAGEMAKER_MODEL_SERVER_WORKERS=2)
def test_all_processes_end_with_the_front(server: Server) -> None:
    server.wait_until_ready(2)
    assert len(group(server.process.pid)) == 5  # front, nursery, template, two workers
    server.process.kill()
    wait_until(lambda: group(server.process.pid) == [])


@configured(SAGEMAKER_MODEL_SERVER_WORKERS=2)
@pytest.mark.parametrize("which", ["loader", "nursery"])
def test_the_front_ends_with_the_processes_that_fork(server: Server, which: str) -> None:
    server.wait_until_ready(2)
    loader = said(server.ask("loaded").body)
    nursery = int(Path(f"/proc/{loader}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(loader if which == "loader" else nursery, signal.SIGKILL)
    assert server.process.wait(60) == 1
    wait_until(lambda: group(server.process.pid) == [])
    assert "cannot be served" in server.log()


@configured(SAGEMAKER_MODEL_SERVER_WORKERS="two")
def test_a_variable_that_says_nothing_ends_the_server_and_is_named(server: Server) -> None:
    assert server.process.wait(60) == 1
    assert "SAGEMAKER_MODEL_SERVER_WORKERS='two'" in server.log()


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serving(tmp_path, SAGEMAKER_BIND_TO_PORT=port) as server:
            assert server.process.wait(60) == 1
            assert f"cannot listen at 127.0.0.1:{port}" in server.log()
