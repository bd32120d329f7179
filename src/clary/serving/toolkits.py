"""What a script's missing functions do: those of the toolkit that its image stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.serving import content
from clary.serving.calls import call_of
from clary.serving.faults import LoadFault, RequestFault, UnsupportedType
from clary.serving.tasks import what_is_in

ARRAYS = (content.JSON, content.CSV, content.NPY)


@dataclass(frozen=True, slots=True)
class Toolkit:
    """model(model_dir), input(body, content type), predict(data, model), output(prediction, accept)."""

    model: Callable[[Path], Any]
    input: Callable[[bytes, str], Any]
    predict: Callable[[Any, Any], Any]
    output: Callable[[Any, str], bytes]


def hugging_face(model: Callable[[Path], Any], readable: Sequence[str]) -> Toolkit:
    """Documents in, a pipeline's result out. `model` makes the pipeline, or what is called as one is."""

    def read(body: bytes, content_type: str) -> Any:
        return content.decoded(body, content_type, readable=readable)

    return Toolkit(model, read, _called, content.encoded)


def _called(data: Any, model: Any) -> Any:
    if not callable(model):
        raise LoadFault(f"model_fn gave a {type(model).__name__}, which cannot be called: write a predict_fn")
    call = call_of(data)
    return model(call.inputs, **call.parameters)


def scikit_learn() -> Toolkit:
    """Arrays in, model.predict(array), arrays out."""

    def model(model_dir: Path) -> Any:
        raise LoadFault(
            f"a scikit-learn model needs a script with model_fn(model_dir); {what_is_in(model_dir)}. "
            "Name the script as entry_point, or put it into code/inference.py"
        )

    return Toolkit(model, array, lambda data, model: model.predict(data), content.encoded)


def pytorch() -> Toolkit:
    """Tensors in, model(tensor), arrays out. The model is TorchScript: model.pt, or model.pth."""
    return Toolkit(_torch_script, _tensor, _forward, _arrays)


def array(body: bytes, content_type: str) -> Any:
    """A numpy array of a JSON list, CSV without a header, or .npy. Raises RequestFault."""
    kind = content.media_type(content_type)
    if kind == content.NPY:
        return content.array_of_npy(body)
    if kind == content.JSON:
        return _regular(content.decoded(body, kind))
    if kind == content.CSV:
        return _numbers(content.rows_of_csv(body))
    raise UnsupportedType(
        f"Content-Type {content_type!r} is not read by this model; it reads {', '.join(ARRAYS)}, or what an input_fn "
        "of its script does"
    )


def _regular(value: Any) -> Any:
    import numpy as np

    try:
        made = np.asarray(value)
    except ValueError as error:
        raise RequestFault(f"the body is not a regular list of numbers: {error}") from error
    return made


def _numbers(rows: Sequence[Sequence[str]]) -> Any:
    import numpy as np

    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise RequestFault(f"row {number} of the CSV has {len(row)} fields, the first has {len(rows[0])}")
    try:
        made = np.asarray([[float(field) for field in row] for row in rows])
    except ValueError:
        made = np.asarray(rows)  # of texts
    return made[0] if len(rows) == 1 else made


def _device() -> Any:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _torch_script(model_dir: Path) -> Any:
    import torch

    for name in ("model.pt", "model.pth"):
        if (model_dir / name).is_file():
            try:
                load: Any = torch.jit.load
                return load(str(model_dir / name), map_location=_device()).eval()
            except RuntimeError as error:
                raise LoadFault(
                    f"{name} is not TorchScript (saved by torch.jit.save): write a model_fn that loads it. {error}"
                ) from error
    raise LoadFault(
        f"no model.pt or model.pth; {what_is_in(model_dir)}. Save TorchScript under that name, or write model_fn"
    )


def _tensor(body: bytes, content_type: str) -> Any:
    import numpy as np
    import torch

    values = array(body, content_type)
    if values.dtype.kind not in "fiub":
        raise RequestFault(f"numbers expected, not {values.dtype}")
    is_text = content.media_type(content_type) in (content.JSON, content.CSV)
    return torch.from_numpy(np.ascontiguousarray(values, np.float32 if is_text else None)).to(_device())


def _forward(data: Any, model: Any) -> Any:
    import torch

    if hasattr(model, "eval"):
        model.eval()
    with torch.no_grad():
        return model(data)


def _arrays(prediction: Any, accept: str) -> bytes:
    if hasattr(prediction, "detach"):
        prediction = prediction.detach().cpu().numpy()
    return content.encoded(prediction, accept)
