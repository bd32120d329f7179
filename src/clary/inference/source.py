"""A model as named tensors and settings, whether transformers loaded it or its files were read directly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

Task = Literal["classification", "tagging", "answering", "features"]
BERT_LIKE = {"bert", "roberta", "xlm_roberta", "camembert", "electra"}
FROM_PADDING = {"roberta", "xlm_roberta", "camembert"}  # count positions from the padding token's id on
FAMILIES = BERT_LIKE | {"distilbert"}
KINDS: Mapping[str, Task] = {
    "ForSequenceClassification": "classification",
    "ForTokenClassification": "tagging",
    "ForQuestionAnswering": "answering",
}
BASES = {  # what the names of the encoder's tensors begin with
    "bert": "bert.",
    "roberta": "roberta.",
    "xlm_roberta": "roberta.",
    "camembert": "roberta.",
    "electra": "electra.",
    "distilbert": "distilbert.",
}


@dataclass(frozen=True, slots=True)
class Source:
    """settings: as in config.json. tensors: by the model's own names, the encoder's beginning with `base`."""

    family: str
    task: Task
    settings: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    base: str

    def of_encoder(self, name: str) -> Tensor:
        return self.tensors[self.base + name]


def of_model(model: Any) -> Source:
    """Of a transformers model for which `why_not` says None."""
    family = family_of(model)
    assert family is not None
    tensors = model.state_dict()
    kind = kind_of(model)
    assert kind is not None
    base = "" if kind == "features" else BASES[family]
    return Source(family, kind, model.config.to_dict(), tensors, base)


def why_not(model: Any) -> str | None:
    """Why a transformers model cannot run padding-free, or None. What is not exactly that arithmetic is refused."""
    family = family_of(model)
    if family is None:
        return f"{type(model).__name__} is not one of the architectures that run padding-free"
    if (odd := odd_settings(model.config.to_dict())) is not None:
        return odd
    if kind_of(model) is None:
        return f"{type(model).__name__} has a head of another kind"
    changed = [name for name, module in model.named_modules() if _changed(module)]
    return f"{changed[0]} is not an ordinary layer" if changed else None


def odd_settings(settings: Mapping[str, Any]) -> str | None:
    """What in a configuration is not a plain encoder, or None."""
    if settings.get("is_decoder") or settings.get("add_cross_attention"):
        return "it is set up as a decoder"
    if (settings.get("position_embedding_type") or "absolute") != "absolute":
        return f"its positions are {settings['position_embedding_type']}"
    if not isinstance(activation_name(settings), str):
        return "its activation has no name"
    return None


def activation_name(settings: Mapping[str, Any]) -> Any:
    return settings.get("hidden_act") or settings.get("activation")


def family_of(model: Any) -> str | None:
    parts = type(model).__module__.split(".")
    if parts[:2] != ["transformers", "models"] or len(parts) < 4:
        return None
    return parts[2] if parts[2] in FAMILIES else None


def kind_of(model: Any) -> Task | None:
    name = type(model).__name__
    ending = "For" + name.partition("For")[2]
    return "features" if ending == "For" and name.endswith("Model") else KINDS.get(ending)


def _changed(module: nn.Module) -> bool:
    """Adapters, quantised layers, hooks: something else than the layer's own arithmetic."""
    kinds = (nn.Linear, nn.Embedding, nn.LayerNorm)
    ordinary = type(module) in kinds or not isinstance(module, kinds)
    dressed = module._forward_hooks or module._forward_pre_hooks or hasattr(module, "parametrizations")
    foreign = not type(module).__module__.startswith(("torch.nn.modules", "transformers."))
    return bool(dressed) or not ordinary or foreign
