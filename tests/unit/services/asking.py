"""Operations asked by name."""

from __future__ import annotations

from typing import Any

from clary.services.operations import OPERATIONS, Context
from clary.wire.encode_json import write_json
from clary.wire.models import service_model


def ask(context: Context, name: str, **request: Any) -> Any:
    """A SageMaker operation's answer, which fits the shape it is published with."""
    answer = OPERATIONS["sagemaker", name](context, request)
    write_json(answer, service_model("sagemaker").operation_model(name).output_shape)  # type: ignore[arg-type]
    return answer
