"""The tokenizer of a saved model read from tokenizer.json, where transformers would make the same of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

GENERIC = {"PreTrainedTokenizerFast", "TokenizersBackend"}
TYPED = {"bert", "electra"}  # whose classes say which text of a pair a token belongs to
CLASSES = {  # whose settings are checked against the file: transformers builds the tokenizer from them
    "BertTokenizer": "bert",
    "DistilBertTokenizer": "distilbert",
    "ElectraTokenizer": "electra",
    "RobertaTokenizer": "roberta",
}
PROCESSORS = ("TemplateProcessing", "BertProcessing", "RobertaProcessing")
FOREIGN = ("added_tokens.json", "chat_template.jinja")
PIECES = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
BYTES = {
    "bos": "<s>",
    "eos": "</s>",
    "sep": "</s>",
    "cls": "<s>",
    "unk": "<unk>",
    "pad": "<pad>",
    "mask": "<mask>",
}
SPECIAL = {"generic": {}, "roberta": BYTES}  # what a class calls its special tokens
UNLIMITED = 10**30


class FileTokenizer:
    """What callers use of a transformers tokenizer, around the tokenizer itself."""

    is_fast = True

    def __init__(
        self, backend: Any, settings: Mapping[str, Any], inputs: tuple[str, ...], *, most: int
    ) -> None:
        """inputs: names of what the model takes. most: tokens of a text."""
        self.backend_tokenizer = backend
        self.model_input_names = list(inputs)
        self.model_max_length = most
        self.truncation_side = str(settings.get("truncation_side") or "right")
        self._special = {
            name: backend.token_to_id(token)
            for name in ("pad", "cls", "sep", "unk", "mask")
            if (token := _content(settings.get(f"{name}_token"))) is not None
        }

    @property
    def pad_token_id(self) -> int | None:
        return self._special.get("pad")

    @property
    def cls_token_id(self) -> int | None:
        return self._special.get("cls")

    @property
    def sep_token_id(self) -> int | None:
        return self._special.get("sep")

    @property
    def unk_token_id(self) -> int | None:
        return self._special.get("unk")

    @property
    def mask_token_id(self) -> int | None:
        return self._special.get("mask")

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        decoder = self.backend_tokenizer.decoder
        return " ".join(tokens) if decoder is None else str(decoder.decode(tokens))

    def __len__(self) -> int:
        return int(self.backend_tokenizer.get_vocab_size(with_added_tokens=True))


def read(folder: Path, model_type: str) -> FileTokenizer | None:
    """None where transformers has to read it. Raises OSError and ValueError for what is missing or broken."""
    from tokenizers import Tokenizer

    settings = _settings(folder)
    text = (folder / "tokenizer.json").read_text("utf-8")
    saved = json.loads(text)
    kind = _kind(settings, model_type)
    if kind is None or any((folder / name).exists() for name in FOREIGN) or not _same(kind, settings, saved):
        return None
    settings = {f"{name}_token": token for name, token in SPECIAL.get(kind, PIECES).items()} | settings
    backend = Tokenizer.from_str(text)
    backend.no_padding()
    backend.no_truncation()
    if not _known(settings, saved, backend):
        return None
    default = (
        ("input_ids", "token_type_ids", "attention_mask")
        if kind in TYPED
        else ("input_ids", "attention_mask")
    )
    return FileTokenizer(
        backend,
        settings,
        tuple(settings.get("model_input_names") or default),
        most=int(settings.get("model_max_length") or UNLIMITED),
    )


def _settings(folder: Path) -> dict[str, Any]:
    """Special tokens had a file of their own, whose content newer releases write into the settings."""
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    special = folder / "special_tokens_map.json"
    found = json.loads(special.read_text("utf-8")) if special.is_file() else {}
    return dict(found) | {name: value for name, value in settings.items() if value is not None}


def _kind(settings: Mapping[str, Any], model_type: str) -> str | None:
    """The family whose class reads it, "generic" for none in particular, or None where it is another one."""
    if settings.get("auto_map"):
        return None
    name = settings.get("tokenizer_class")
    if name is None:
        return model_type if model_type in CLASSES.values() else None
    return "generic" if name in GENERIC else CLASSES.get(str(name).removesuffix("Fast"))


def _same(kind: str, settings: Mapping[str, Any], saved: Mapping[str, Any]) -> bool:
    """Whether the family's class would build what the file says."""
    if (saved.get("post_processor") or {}).get("type") not in (*PROCESSORS, None):
        return False
    if kind == "generic":
        return True
    return _byte_pairs(settings, saved) if kind == "roberta" else _word_pieces(settings, saved)


def _word_pieces(settings: Mapping[str, Any], saved: Mapping[str, Any]) -> bool:
    model, lower = saved["model"], settings.get("do_lower_case")
    return (
        _has(
            saved.get("normalizer"),
            type="BertNormalizer",
            clean_text=True,
            handle_chinese_chars=_or(settings.get("tokenize_chinese_chars"), True),
            strip_accents=settings.get("strip_accents"),
            lowercase=_or(lower, True),
        )
        and _has(saved.get("pre_tokenizer"), type="BertPreTokenizer")
        and _has(saved.get("decoder"), type="WordPiece", prefix="##", cleanup=True)
        and _has(saved.get("post_processor"), type="TemplateProcessing")
        and _has(
            model,
            type="WordPiece",
            continuing_subword_prefix="##",
            max_input_chars_per_word=100,
            unk_token=_content(settings.get("unk_token")) or "[UNK]",
        )
    )


def _byte_pairs(settings: Mapping[str, Any], saved: Mapping[str, Any]) -> bool:
    space = _or(settings.get("add_prefix_space"), False)
    trim = _or(settings.get("trim_offsets"), True)
    return (
        saved.get("normalizer") is None
        and _has(saved.get("pre_tokenizer"), type="ByteLevel", add_prefix_space=space)
        and _has(saved.get("decoder"), type="ByteLevel")
        and _has(
            saved.get("post_processor"), type="RobertaProcessing", add_prefix_space=space, trim_offsets=trim
        )
        and _has(saved["model"], type="BPE", dropout=None, byte_fallback=False)
    )


def _known(settings: Mapping[str, Any], saved: Mapping[str, Any], backend: Any) -> bool:
    """Whether every special or added token of the settings is one of the file's."""
    added = {token["id"]: token for token in saved.get("added_tokens") or []}
    for number, token in (settings.get("added_tokens_decoder") or {}).items():
        if not _has(added.get(int(number)), **token):
            return False
    named = [
        _content(settings.get(f"{name}_token")) for name in ("pad", "cls", "sep", "unk", "mask", "bos", "eos")
    ]
    extra = settings.get("extra_special_tokens") or settings.get("additional_special_tokens") or []
    contents = {token["content"] for token in added.values()}
    return (
        isinstance(extra, list)
        and {_content(token) for token in extra} <= contents
        and all(name in contents for name in named if name is not None)
        and _content(settings.get("pad_token")) is not None
        and backend.get_vocab_size(with_added_tokens=True) > len(contents)
    )


def _has(given: Any, **wanted: Any) -> bool:
    return isinstance(given, Mapping) and all(given.get(name) == value for name, value in wanted.items())


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _content(token: Any) -> str | None:
    """A token as the settings write it: a string, or an object with its content."""
    found = token.get("content") if isinstance(token, Mapping) else token
    return None if found is None else str(found)
