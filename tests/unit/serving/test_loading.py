"""From a folder and the environment to a model, and what is said where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from clary.serving import contract, tasks  # noqa: E402
from clary.serving.faults import LoadFault  # noqa: E402
from tests.unit.serving.folders import TAGS, asked, loaded, refused, request, save  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("bert"), "bert", "SequenceClassification")


def configured(folder, **settings):
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForSequenceClassification", "text-classification"),
        ("RobertaForTokenClassification", "token-classification"),
        ("DistilBertForQuestionAnswering", "question-answering"),
        ("TapasForQuestionAnswering", "table-question-answering"),
        ("BertForMaskedLM", "fill-mask"),
        ("LlamaForCausalLM", "text-generation"),
        ("GPT2LMHeadModel", "text-generation"),
        ("T5ForConditionalGeneration", "text2text-generation"),
        ("MTModel", "text2text-generation"),
        ("EncoderDecoderModel", "text2text-generation"),
        ("BertForMultipleChoice", "multiple-choice"),
        ("ViTForImageClassification", "image-classification"),
        ("Wav2Vec2ForCTC", "automatic-speech-recognition"),
        ("BertModel", "feature-extraction"),
    ],
)
def test_the_task_of_an_architecture(tmp_path, architecture, task):
    assert tasks.of_model(configured(tmp_path, architectures=[architecture])) == task


def test_a_diffusion_model(tmp_path):
    (tmp_path / "model_index.json").touch()
    assert tasks.of_model(tmp_path) == "text-to-image"


@pytest.mark.parametrize("settings", [{"architectures": ["BertForNextSentencePrediction"]}, {}])
def test_a_task_that_cannot_be_told(tmp_path, settings):
    with pytest.raises(LoadFault, match="set HF_TASK"):
        loaded(configured(tmp_path, **settings))


def test_the_task_may_be_another_one(folder):
    handler = loaded(folder, environment={"HF_TASK": "zero-shot-classification"})
    answer = asked(handler, "a film", {"candidate_labels": ["good", "bad"]})
    assert sorted(answer["labels"]) == ["bad", "good"]
    status, message = refused(handler, {"inputs": "a film"})
    assert status == 400
    assert "candidate_labels" in message
    status, message = refused(handler, b"inputs\na\n", "text/csv")
    assert status == 415
    assert "text/csv" not in message.partition("it reads")[2]


def test_other_names_of_a_task(folder):
    assert (
        loaded(folder, environment={"HF_TASK": "sentiment-analysis"}).report["task"] == "text-classification"
    )


def test_empty_variables_are_absent(folder):
    names = (
        "HF_TASK",
        "HF_MODEL_ID",
        "HF_MODEL_REVISION",
        "SAGEMAKER_PROGRAM",
        "CLARY_PRECISION",
        "CLARY_TRUNCATE",
    )
    handler = loaded(folder, environment=dict.fromkeys(names, ""))
    assert handler.report["precision"] == "fp32"


def test_a_model_id_wins_over_the_folder(folder, tmp_path):
    save(tmp_path, "distilbert", "TokenClassification", labels=TAGS)
    assert loaded(tmp_path).report["task"] == "token-classification"
    assert loaded(tmp_path, environment={"HF_MODEL_ID": str(folder)}).report["task"] == "text-classification"


def test_a_model_id_that_is_no_folder(tmp_path):
    with pytest.raises(LoadFault, match="there is no such folder"):
        loaded(tmp_path, environment={"HF_MODEL_ID": str(tmp_path / "gone")})


@pytest.mark.parametrize("name", ["./models/mine", "~/mine"])
def test_a_folder_is_named_by_its_whole_path(tmp_path, name):
    with pytest.raises(LoadFault, match="give its whole path"):
        loaded(tmp_path, environment={"HF_MODEL_ID": name})


def test_a_model_that_cannot_be_had_from_the_hub(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    environment = {"HF_MODEL_ID": "nobody/no-model", "HF_MODEL_REVISION": "v1"}
    with pytest.raises(LoadFault, match=r"HF_MODEL_ID=nobody/no-model at revision v1 .* HF_API_TOKEN"):
        loaded(tmp_path, environment=environment)


def test_a_model_of_the_hub(folder, tmp_path, monkeypatch):
    """What the hub's cache holds is served: no network here."""
    from huggingface_hub import constants

    version = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--me--film"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "v2").write_text(version)
    (cached / "snapshots").mkdir()
    (cached / "snapshots" / version).symlink_to(folder)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    handler = loaded(tmp_path / "model", environment={"HF_MODEL_ID": "me/film", "HF_MODEL_REVISION": "v2"})
    assert handler.report["task"] == "text-classification"


def test_an_archive_with_a_folder_in_it(folder, tmp_path):
    (tmp_path / "checkpoint").symlink_to(folder)
    assert loaded(tmp_path).report["task"] == "text-classification"


def test_no_model_at_all(tmp_path):
    with pytest.raises(LoadFault, match=r"the model's folder is empty: a config.json .* HF_MODEL_ID"):
        loaded(tmp_path)
    with pytest.raises(LoadFault, match="is not there"):
        loaded(tmp_path / "gone")
    (tmp_path / "weights.bin").touch()
    with pytest.raises(LoadFault, match=r"holds weights.bin"):
        loaded(tmp_path)


def test_no_tokenizer(tmp_path):
    save(tmp_path, "bert", "SequenceClassification")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    with pytest.raises(LoadFault, match="tokenizer"):
        loaded(tmp_path)
    save(tmp_path / "masked", "bert", "MaskedLM")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "masked" / name).unlink()
    with pytest.raises(LoadFault, match="tokenizer"):
        loaded(tmp_path / "masked")


def test_a_broken_configuration(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(LoadFault, match=r"config.json of the model cannot be read"):
        loaded(tmp_path)


def test_broken_weights(tmp_path):
    save(tmp_path, "bert", "SequenceClassification")
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(LoadFault, match="cannot be loaded"):
        loaded(tmp_path)


def test_a_head_that_was_not_trained(folder):
    for task in ("question-answering", "fill-mask"):
        with pytest.raises(LoadFault, match=r"not trained for .*HF_TASK sets another"):
            loaded(folder, environment={"HF_TASK": task})


def test_a_task_that_transformers_has_not(folder, tmp_path):
    for task in ("multiple-choice", "summarization-of-films"):
        with pytest.raises(
            LoadFault, match=f"{task} is not supported by transformers {transformers.__version__}"
        ):
            loaded(folder, environment={"HF_TASK": task})


def test_code_of_the_models_own(folder, tmp_path):
    settings = json.loads((folder / "config.json").read_text())
    configured(tmp_path, **settings, auto_map={"AutoModel": "mine.Model"})
    with pytest.raises(LoadFault, match="HF_TRUST_REMOTE_CODE=true"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLARY_PRECISION", "fp8"),
        ("CLARY_TRUNCATE", "maybe"),
        ("HF_TRUST_REMOTE_CODE", "2"),
        ("CLARY_LEAST_AGREEMENT", "98"),
        ("CLARY_LEAST_AGREEMENT", "all"),
    ],
)
def test_a_setting_that_cannot_be(folder, name, value):
    with pytest.raises(LoadFault, match=f"{name}={value}: .* expected"):
        loaded(folder, environment={name: value})


def test_bfloat16(folder):
    handler = loaded(folder, environment={"CLARY_PRECISION": "bf16"})
    assert handler.report["precision"] == "bf16"
    exact = asked(loaded(folder), "good film")
    (ours,) = asked(handler, "good film")
    assert ours["score"] == pytest.approx(exact[0]["score"], abs=0.03)


@pytest.mark.parametrize(
    ("image", "toolkit"),
    [
        ("763104351884.dkr.ecr.eu-west-1.amazonaws.com/huggingface-pytorch-inference:2.6-cpu", "huggingface"),
        ("763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:2.6-cpu", "pytorch"),
        ("141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3", "sklearn"),
        ("mine:latest", "huggingface"),
        ("", "huggingface"),
    ],
)
def test_the_toolkit_of_an_image(image, toolkit):
    assert contract.read({"CLARY_IMAGE": image}).toolkit == toolkit


def test_a_model_of_transformers_in_a_pytorch_image(folder):
    handler = loaded(folder, environment={"CLARY_IMAGE": "pytorch-inference:2.6"})
    assert handler.answer([request({"inputs": "good"})])[0].status == 200


def test_a_model_that_may_bring_code_is_not_shared(folder):
    handler = loaded(folder, environment={"HF_TRUST_REMOTE_CODE": "true"})
    assert not handler.shared
    assert handler.report["way"] == "transformers' text-classification pipeline"


WITHOUT = """
import sys
sys.path.append(sys.argv[1])
for name in ("torch", "numpy", "transformers", "tokenizers", "safetensors", "huggingface_hub"):
    sys.modules[name] = None
from pathlib import Path
from clary.serving.handler import Request
from clary.serving.loading import load
handler = load(Path(sys.argv[2]), {"CLARY_IMAGE": sys.argv[3]})
print(handler.answer([Request(b"[1, 2]", "application/json", "", {})])[0].body.decode())
"""
SCRIPT = """
import json
import subprocess
import sys
from pathlib import Path
def model_fn(folder): return 3
def input_fn(body, kind): return json.loads(body)
def predict_fn(numbers, model): return [model * number for number in numbers]
"""


@pytest.mark.parametrize(
    "image", ["pytorch-inference:2", "huggingface-pytorch-inference:2", "scikit-learn:1"]
)
def test_a_script_needs_no_package_but_its_own(tmp_path, image):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(SCRIPT)
    source = str(Path(__file__).parents[3] / "src")
    told = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT, source, str(tmp_path), image],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.stdout, told.returncode) == ("[3,6]\n", 0), told.stderr
