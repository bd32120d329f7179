"""Tiny random models of each architecture, and a word-piece tokenizer with a vocabulary of its own."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

WORDS = [
    "good",
    "bad",
    "film",
    "plot",
    "actor",
    "the",
    "a",
    "was",
    "is",
    "not",
    "very",
    "slow",
    "fast",
    "ending",
]
WORDS += ["scene", "and", "of", "it", "i", "love"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
POSITIONS = 40
TEXTS = [
    "good film",
    "",
    "the plot was not very fast and the ending of it is slow",
    "love",
    "bad bad bad",
    "i love the actor and the scene [PAD] and the film",
    "slow film",
    "good " * 100,
    "a very slow scene of the film was not bad",
    "unheard words here",
]
PAIRS = ["bad", "good film and plot", "", "love " * 80, "it is", "a", "not fast", "slow", "i", "the end"]
FAMILIES = ["bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert"]


def tokenizer(*, first_special: int = 0, types: bool = True) -> Any:
    """`first_special`: ids before the padding token's, as RoBERTa has it."""
    vocabulary = [f"[{number}]" for number in range(first_special)] + SPECIAL + WORDS + ["##s"]
    numbers = {word: number for number, word in enumerate(vocabulary)}
    made = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(word, numbers[word]) for word in ("[CLS]", "[SEP]")],
    )
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=names,
    )


def config(family: str, **changes: Any) -> Any:
    from transformers import AutoConfig

    own: dict[str, Any] = {
        "vocab_size": 64,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": POSITIONS,
        "hidden_dropout_prob": 0.5,
        "attention_probs_dropout_prob": 0.5,
        "num_labels": 3,
    }
    if family == "distilbert":
        own = {
            "vocab_size": 64,
            "dim": 32,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 48,
            "max_position_embeddings": POSITIONS,
            "dropout": 0.5,
            "num_labels": 3,
        }
    if family == "electra":
        own["embedding_size"] = 16  # goes through a projection
    if behind(family):
        own |= {"pad_token_id": 1, "type_vocab_size": 1, "bos_token_id": 3, "eos_token_id": 4}
    else:
        own |= {"pad_token_id": 0}
    return AutoConfig.for_model(family, **own | changes)


def behind(family: str) -> bool:
    return family in ("roberta", "xlm-roberta", "camembert")


def tokenizer_for(family: str) -> Any:
    if behind(family):
        return tokenizer(first_special=1, types=False)
    return tokenizer(types=family != "distilbert")


def model(family: str, kind: str = "SequenceClassification", *, seed: int = 7, **changes: Any) -> Any:
    """Weights larger than at the start of training, so that every part of the arithmetic shows in the result."""
    import transformers

    torch.manual_seed(seed)
    auto = transformers.AutoModel if kind == "" else getattr(transformers, f"AutoModelFor{kind}")
    made = auto.from_config(config(family, **changes)).eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "LayerNorm" in name or "layer_norm" in name:
                weight.add_(0.2 * torch.randn_like(weight))
            else:
                weight.normal_(0, 0.25)
    return made


def limit(family: str) -> int:
    return POSITIONS - 2 if behind(family) else POSITIONS


@torch.no_grad()
def alone(made: Any, reader: Any, family: str, text: str, pair: str | None = None, **more: Any) -> Any:
    """The model's own answer for one text: no padding, no batch."""
    more = {"truncation": True} | more
    both = [[text]] if pair is None else [[text], [pair]]  # as lists: an empty second text is one too
    inputs = reader(*both, max_length=limit(family), return_tensors="pt", **more)
    return made(**inputs)
