"""Where models run here, and with how many threads. A script's environment need not have torch."""

from __future__ import annotations

import os


def prepared() -> str:
    """The device: cuda, or cpu. A worker has one thread there, none of torch's or the tokenizer's beside it."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # the log is for other things
    try:
        import torch
    except ImportError:
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    torch.set_num_threads(1)
    return "cpu"


def device() -> str:
    """Where a model of torch's runs here."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
