"""Operations asked by name, and what a controller would have written between two of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clary.domain.transitions import enter
from clary.services.operations import OPERATIONS, Context
from clary.wire.encode_json import write_json
from clary.wire.models import service_model


def ask(context: Context, name: str, **request: Any) -> Any:
    """A SageMaker operation's answer, which fits the shape it is published with."""
    answer = OPERATIONS["sagemaker", name](context, request)
    shape = service_model("sagemaker").operation_model(name).output_shape
    if shape is None:
        assert answer == {}
    else:
        write_json(answer, shape)
    return answer


def end_job(context: Context, name: str, status: str = "Completed", *, kind: str, **state: Any) -> None:
    """The job ends now; `state` is what its controller notes beside that."""
    context.store.update(
        kind,
        name,
        lambda job: replace(
            job, status=status, state={**enter(job.state, status, "", at=context.now()), **state}
        ),
    )
