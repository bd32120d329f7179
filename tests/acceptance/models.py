"""Small models for tests of hosting: real architectures with random weights, packed as a training job leaves them."""

from __future__ import annotations

import tarfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

WORDS = (
    *("this", "is", "a", "very", "good", "bad", "product", "awful", "great", "not", "i", "like", "it"),
    *("hate", "the", "and", "but", "really", "one", "two", "three"),
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def classifier_archive(
    folder: Path, *, seed: int = 0, labels: tuple[str, ...] = ("NEGATIVE", "POSITIVE")
) -> Path:
    """`<folder>/model.tar.gz`: a classifier of texts of up to 64 tokens."""
    source = folder / "classifier"
    classifier(source, seed=seed, labels=labels)
    archive = folder / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        for path in sorted(source.iterdir()):
            file.add(path, arcname=path.name)
    return archive


def classifier(folder: Path, *, seed: int = 0, labels: tuple[str, ...] = ("NEGATIVE", "POSITIVE")) -> Path:
    """The same as a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS) + 27,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    BertForSequenceClassification(config).eval().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {
        word: number for number, word in enumerate((*SPECIAL, *WORDS, *"abcdefghijklmnopqrstuvwxyz!"))
    }
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_max_length=64,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
