"""The ordinary way, for every other model and for GPUs: the model itself, texts of like length together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def run(
    model: Any,
    ids: Sequence[NDArray[np.int64]],
    types: Sequence[NDArray[np.int64]] | None,
    *,
    padding: int,
    per_token: bool,
) -> Tensor:
    """Outputs in float32 on the CPU: (texts, outputs), or (tokens, outputs) of all texts one behind the other."""
    lengths = torch.tensor([len(text) for text in ids])
    mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    inputs = {"input_ids": _filled(ids, mask, padding), "attention_mask": mask.long()}
    if types is not None:
        inputs["token_type_ids"] = _filled(types, mask, 0)
    outputs = model(**{name: value.to(model.device) for name, value in inputs.items()})
    result = _outputs(outputs).float().cpu()
    return result[mask] if per_token else result


def _filled(arrays: Sequence[NDArray[np.int64]], mask: Tensor, value: int) -> Tensor:
    filled = torch.full(mask.shape, value, dtype=torch.int64)
    filled[mask] = torch.from_numpy(np.concatenate(arrays))
    return filled


def _outputs(outputs: Any) -> Tensor:
    if "start_logits" in outputs:
        return torch.stack([outputs["start_logits"], outputs["end_logits"]], -1)
    found: Tensor = outputs["logits"] if "logits" in outputs else outputs["last_hidden_state"]
    return found
