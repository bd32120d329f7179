"""Code of the user: which functions run, with what, and what happens when they fail."""

from __future__ import annotations

import json
import sys
from textwrap import dedent

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from clary.serving.faults import LoadFault
from tests.unit.serving.folders import TEXTS, asked, loaded, refused, request, save

MODEL = "def model_fn(model_dir):\n    return {'in': model_dir}\n"


@pytest.fixture(autouse=True)
def modules(tmp_path):
    """What a script adds to the interpreter goes with it."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def scripted(tmp_path):
    """A handler of a model's folder with this script in code/."""

    def made(script, environment=None, name="inference.py", folder=tmp_path):
        sys.modules.pop(name.removesuffix(".py"), None)
        (folder / "code").mkdir(exist_ok=True)
        (folder / "code" / name).write_text(dedent(script), "utf-8")
        return loaded(folder, environment=environment or {})

    return made


def body(handler, *given):
    (response,) = handler.answer([request(*given)])
    assert response.status == 200, response.body
    return response


def test_each_function_gets_what_the_one_before_gave(scripted, tmp_path):
    handler = scripted("""
        def model_fn(model_dir):
            return [model_dir]
        def input_fn(data, content_type):
            return [data, content_type]
        def predict_fn(data, model):
            return data + model
        def output_fn(prediction, accept):
            return "|".join(prediction) + "|" + accept
    """)
    response = body(handler, b'{"a": 1}', "application/json", "text/plain")
    assert response.body.decode() == f'{{"a": 1}}|application/json|{tmp_path}|text/plain'
    assert response.content_type == "text/plain"
    assert not handler.shared
    assert handler.batch == 1
    assert handler.report["way"] == "inference.py: model_fn, input_fn, predict_fn, output_fn"


def test_bodies_are_text_where_they_are_json_or_csv_else_bytes(scripted):
    handler = scripted(
        MODEL + "def transform_fn(model, data, content_type, accept):\n    return type(data).__name__\n"
    )
    kinds = {
        "application/json": "str",
        "text/csv": "str",
        "text/csv; charset=utf-8": "str",
        "image/png": "bytes",
    }
    for content_type, kind in kinds.items():
        assert body(handler, b"x", content_type).body.decode() == kind
    assert refused(handler, b"\xff", "text/csv")[0] == 400


def test_options_of_a_functions_own_are_left_to_it(scripted):
    handler = scripted(
        MODEL
        + """
def input_fn(data, content_type, *, times=2): return data * times
def predict_fn(data, model, **options): return data + str(options)
def output_fn(prediction, accept, context=None): return prediction + str(context is not None)
"""
    )
    assert body(handler, b"1").body == b"11{}True"


def test_transform_fn_answers_alone_and_may_name_its_content_type(scripted):
    handler = scripted("""
        def model_fn(model_dir, context):
            return context.system_properties["gpu_id"]
        def transform_fn(model, data, content_type, accept, context):
            return f"{model} {data} {accept} {context.get_request_header(0, 'X-Trace')}", "text/markdown"
    """)
    (response,) = handler.answer([request(b"hello", "text/csv", "", **{"x-trace": "7"})])
    assert response.body == b"None hello application/json 7"
    assert response.content_type == "text/markdown"


def test_transform_fn_does_not_go_with_the_others(scripted):
    with pytest.raises(LoadFault, match="transform_fn and output_fn, predict_fn"):
        scripted("""
            def transform_fn(model, data, content_type, accept): ...
            def predict_fn(data, model): ...
            def output_fn(prediction, accept): ...
        """)


@pytest.mark.parametrize(
    "script",
    [
        "def model_fn(): ...",
        "def predict_fn(data): ...",
        "def output_fn(prediction, accept, context, more): ...",
        "def transform_fn(model, data): ...",
    ],
)
def test_other_arguments_are_told_at_load(scripted, script):
    with pytest.raises(TypeError, match=r"arguments; \w+_fn\(.*\) or"):
        scripted(script)


def test_the_context_sets_status_and_headers(scripted):
    handler = scripted("""
        def model_fn(model_dir):
            return None
        def predict_fn(data, model, context):
            context.set_response_header(0, "X-Made-By", "me")
            context.set_response_status(code=201, phrase="Created", idx=0)
            assert context.request_processor[0].get_request_property("Content-Type") == "application/json"
            return data
    """)
    (first, second) = handler.answer([request({"a": 1}), request({"a": 2})])
    assert (first.status, first.headers) == (201, {"X-Made-By": "me"})
    assert json.loads(second.body) == {"a": 2}


def test_a_script_alone_needs_no_transformers_model(scripted):
    handler = scripted("""
        def model_fn(model_dir):
            return lambda inputs, times=1: [inputs] * times
    """)
    assert asked(handler, "a", {"times": 2}) == ["a", "a"]
    assert asked(handler, {"x": 1}) == [{"x": 1}]
    assert refused(handler, b"{", "application/json")[0] == 400
    assert refused(handler, b"x", "video/mp4")[0] == 415


def test_the_other_functions_are_the_models_own(tmp_path, scripted):
    plain = loaded(save(tmp_path, "bert", "SequenceClassification"))
    right = asked(plain, TEXTS[0], {"top_k": None})
    output = scripted("""
        import json
        def output_fn(prediction, accept):
            return json.dumps({"wrapped": prediction})
    """)
    assert asked(output, TEXTS[0], {"top_k": None}) == {"wrapped": right}
    predict = scripted("""
        def predict_fn(data, model):
            return model(data["text"], top_k=1)[0]["label"] + " by " + type(model).__name__
    """)
    (response,) = predict.answer([request({"text": TEXTS[0]})])
    assert json.loads(response.body) == f"{right[0]['label']} by TextClassificationPipeline"


def test_a_script_without_functions_changes_nothing(tmp_path, scripted):
    save(tmp_path, "bert", "SequenceClassification")
    handler = scripted("print('trains')", {"SAGEMAKER_PROGRAM": "train.py"}, "train.py")
    assert handler.report["way"] == "padding-free"


@pytest.mark.parametrize("program", ["", "inference.py", "inference"])
def test_an_empty_program_is_the_usual_one(scripted, program):
    """Version 2 of the SDK sends an empty SAGEMAKER_PROGRAM where there is no entry_point."""
    handler = scripted(
        "def model_fn(d):\n    return lambda x: 'mine'\n", {"SAGEMAKER_PROGRAM": program, "HF_TASK": ""}
    )
    assert asked(handler, "a") == "mine"


def test_modules_beside_the_script_come_first(scripted, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "colorsys.py").write_text("NAME = 'beside'\n")
    sys.modules.pop("colorsys", None)
    handler = scripted("import colorsys\ndef model_fn(d):\n    return lambda x: colorsys.NAME\n")
    assert asked(handler, "a") == "beside"
    del sys.modules["colorsys"]


def test_code_submitted_elsewhere(scripted, tmp_path):
    elsewhere = tmp_path / "submitted"
    elsewhere.mkdir()
    (elsewhere / "serve.py").write_text("def model_fn(d):\n    return lambda x: d\n")
    environment = {"SAGEMAKER_PROGRAM": "serve.py", "SAGEMAKER_SUBMIT_DIRECTORY": str(elsewhere)}
    assert asked(loaded(tmp_path, environment=environment), "a") == str(tmp_path)


def test_a_named_program_that_is_not_there(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "other.py").touch()
    with pytest.raises(
        LoadFault, match=r"SAGEMAKER_PROGRAM=serve.py: there is no such file; .* holds other.py"
    ):
        loaded(tmp_path, environment={"SAGEMAKER_PROGRAM": "serve.py"})


def test_what_a_script_raises_at_load_comes_through(scripted):
    with pytest.raises(ZeroDivisionError):
        scripted("def model_fn(model_dir):\n    return 1 / 0\n")
    with pytest.raises(SyntaxError):
        scripted("def model_fn(model_dir)\n")
    with pytest.raises(ModuleNotFoundError) as raised:
        scripted("import no_such_module_of_mine\n")
    assert "code/requirements.txt" in raised.value.__notes__[0]


@pytest.mark.parametrize("answer", ["float('nan')", "{'a': [float('inf')]}"])
def test_an_answer_that_json_has_not_is_not_the_clients_mistake(scripted, answer):
    handler = scripted(MODEL + f"def predict_fn(data, model):\n    return {answer}\n")
    status, message = refused(handler, b"{}")
    assert (status, message.startswith("the answer has no form in JSON: Out of range")) == (500, True)


def test_an_iterator_without_end_does_not_take_all_memory(scripted, monkeypatch):
    monkeypatch.setattr("clary.serving.scripted.LONGEST_ANSWER", 1000)
    handler = scripted(MODEL + "def predict_fn(data, model):\n    while True:\n        yield 'word '\n")
    assert refused(handler, b"{}") == (
        500,
        "the model's iterator goes on beyond 1000 bytes: ask for a stream",
    )


def test_a_fault_of_the_script_is_500_and_what_it_refuses_400(scripted, capsys):
    handler = scripted("""
        def model_fn(model_dir):
            return None
        def predict_fn(data, model):
            if data == "refuse":
                raise ValueError("no such customer")
            if data == "busy":
                error = RuntimeError("come back later")
                error.status_code = 503
                raise error
            return {}[data]
    """)
    status, message = refused(handler, b'"refuse"')
    assert (status, message) == (400, "the model's code refuses the request: ValueError: no such customer")
    assert refused(handler, b'"busy"') == (503, "come back later")
    status, message = refused(handler, b'"other"')
    assert (status, message) == (500, "the model failed: KeyError: 'other'")
    assert "return {}[data]" in capsys.readouterr().err  # the log has the traceback


def test_what_input_fn_cannot_read_is_the_clients(scripted):
    handler = scripted("""
        import json
        def model_fn(model_dir):
            return None
        def input_fn(data, content_type):
            return json.loads(data)["text"]
        def predict_fn(data, model):
            return data
    """)
    assert refused(handler, b"{")[0] == 400
    assert refused(handler, b"{}") == (400, "input_fn cannot read the request: KeyError: 'text'")
    assert json.loads(body(handler, b'{"text": "a"}').body) == "a"


def test_one_request_of_several_fails_alone(scripted):
    handler = scripted("def model_fn(d):\n    return lambda x: 1 / x\n")
    good, bad, last = handler.answer([request({"inputs": 2}), request({"inputs": 0}), request({"inputs": 4})])
    assert [good.status, bad.status, last.status] == [200, 500, 200]
    assert json.loads(last.body) == 0.25


def test_pieces_of_a_generator_are_streamed(scripted):
    handler = scripted("""
        def model_fn(model_dir):
            return None
        def transform_fn(model, data, content_type, accept):
            def pieces():
                yield "one "
                yield b"two "
                raise RuntimeError("then it broke")
            return pieces()
    """)
    *pieces, last = handler.stream(request(b"x", "text/csv"))
    assert pieces == [b"one ", b"two "]
    assert last.status == 500
    assert handler.answer([request(b"x", "text/csv")])[0].status == 500


SKLEARN = {"CLARY_IMAGE": "123.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"}


def test_scikit_learn(scripted, tmp_path):
    pytest.importorskip("sklearn")
    handler = scripted(
        """
        from sklearn.linear_model import LinearRegression
        def model_fn(model_dir):
            return LinearRegression().fit([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.0, 1.0, 2.0])
        """,
        SKLEARN | {"SAGEMAKER_PROGRAM": "train.py"},
        "train.py",
    )
    assert asked_raw(handler, b"[[1, 1], [2, 0]]", "application/json") == pytest.approx([3, 2])
    assert asked_raw(handler, b"1,1\n2,0\n", "text/csv") == pytest.approx([3, 2])
    response = body(handler, npy([[1.0, 1.0]]), "application/x-npy", "text/csv")
    assert float(response.body) == pytest.approx(3)
    status, message = refused(handler, b"[[1, 2, 3]]")
    assert status == 400  # scikit-learn's own ValueError
    assert "3 features" in message
    assert refused(handler, b"[[1, 2], [3]]")[0] == 400
    status, message = refused(handler, b"x", "text/plain")
    assert status == 415
    assert "application/x-npy" in message


def test_scikit_learn_needs_a_model_fn(tmp_path, scripted):
    (tmp_path / "model.joblib").touch()
    with pytest.raises(LoadFault, match=r"model_fn.*holds model.joblib"):
        loaded(tmp_path, environment=SKLEARN)
    with pytest.raises(LoadFault, match="model_fn"):
        scripted("def predict_fn(data, model): ...", SKLEARN)


def asked_raw(handler, *given):
    return json.loads(body(handler, *given).body)


def npy(values):
    import io

    stream = io.BytesIO()
    np.save(stream, np.asarray(values))
    return stream.getvalue()


PYTORCH = {"CLARY_IMAGE": "1.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:2.3-cpu-py311"}


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_torch_script(tmp_path, scripted):
    import torch

    module = torch.nn.Linear(2, 1)
    torch.nn.init.ones_(module.weight)
    torch.nn.init.zeros_(module.bias)
    torch.jit.script(module).save(str(tmp_path / "model.pt"))
    handler = loaded(tmp_path, environment=PYTORCH)
    assert asked_raw(handler, b"[[1, 2]]", "application/json") == [[3.0]]
    assert asked_raw(handler, b"1,2\n3,4\n", "text/csv") == [[3.0], [7.0]]
    loads = np.load(__import__("io").BytesIO(body(handler, b"[[1, 2]]", "", "application/x-npy").body))
    assert loads.tolist() == [[3.0]]
    assert refused(handler, b'["a"]')[0] == 400
    doubled = scripted("def predict_fn(data, model):\n    return 2 * model(data)\n", PYTORCH)
    assert asked_raw(doubled, b"[[1, 2]]") == [[6.0]]


def test_a_pytorch_image_without_a_model(tmp_path):
    with pytest.raises(LoadFault, match=r"no model.pt or model.pth; the model's folder is empty"):
        loaded(tmp_path, environment=PYTORCH)


def test_a_script_of_the_original_containers(scripted):
    handler = scripted("""
        from sagemaker_containers.beta.framework import encoders, worker
        from sagemaker_inference import decoder, errors
        def model_fn(model_dir):
            return 2
        def input_fn(data, content_type):
            if content_type == "text/csv":
                raise errors.GenericInferenceToolkitError(429, "not so fast")
            return decoder.decode(data, content_type)
        def predict_fn(data, model):
            return model * data
        def output_fn(prediction, accept):
            return worker.Response(encoders.encode(prediction, accept), mimetype=accept)
    """)
    response = body(handler, b"[1, 2]", "application/json", "text/csv")
    assert (response.body, response.content_type) == (b"2\r\n4\r\n", "text/csv")
    assert refused(handler, b"x", "text/csv") == (429, "not so fast")
    assert refused(handler, b"x", "video/mp4")[0] == 415
