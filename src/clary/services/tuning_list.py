"""ListHyperParameterTuningJobs, and the children of one: sorted by name unless asked otherwise."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from clary.domain.kinds import TUNING_JOB
from clary.errors import ValidationException
from clary.services import jobs
from clary.services.operations import Context, operation
from clary.services.pages import DEFAULT_RESULTS
from clary.services.tuning import find
from clary.services.tuning_describe import counters, live, summary
from clary.store.base import Resource

Request = Mapping[str, Any]

OBJECTIVE = "FinalHyperParameterTuningJobObjectiveMetric"


@operation("sagemaker", "ListHyperParameterTuningJobs")
def list_studies(context: Context, request: Request) -> Request:
    """Every study, or those that the filters leave."""
    found, token = jobs.listed(
        context,
        TUNING_JOB,
        request,
        operation="ListHyperParameterTuningJobs",
        sort="Name",
        order="Ascending",
        statuses=(request["StatusEquals"],) if "StatusEquals" in request else (),
    )
    return {"HyperParameterTuningJobSummaries": [_study(context, study) for study in found], **token}


def _study(context: Context, study: Resource) -> dict[str, Any]:
    config = study.spec["HyperParameterTuningJobConfig"]
    known = {
        "HyperParameterTuningJobName": study.name,
        "HyperParameterTuningJobArn": study.arn,
        "HyperParameterTuningJobStatus": study.status,
        "Strategy": config["Strategy"],
        "CreationTime": study.created,
        "HyperParameterTuningEndTime": study.state.get("ended"),
        "LastModifiedTime": study.modified,
        **counters(live(context, study)),
        "ResourceLimits": config["ResourceLimits"],
    }
    return {key: value for key, value in known.items() if value is not None}


@operation("sagemaker", "ListTrainingJobsForHyperParameterTuningJob")
def list_children(context: Context, request: Request) -> Request:
    """A study's children. Sorting by the objective leaves out those that have none."""
    study = find(context, request)
    sort, order = request.get("SortBy", "Name"), request.get("SortOrder", "Ascending")
    wanted = request.get("StatusEquals")
    keyed = []
    for name, child in live(context, study).items():
        each = summary(context.account, study, name, child)
        if wanted in {None, each["TrainingJobStatus"]} and (sort != OBJECTIVE_SORT or OBJECTIVE in each):
            keyed.append(((_key(each, sort), name), each))
    keyed.sort(key=lambda pair: pair[0], reverse=order == "Descending")
    # where to go on: behind the last row of the page before, which may since have moved
    made_for = [study.name, sort, order, wanted]
    if "NextToken" in request:
        place = _read_token(request["NextToken"], made_for)
        keyed = [pair for pair in keyed if (pair[0] < place if order == "Descending" else pair[0] > place)]
    page = keyed[: request.get("MaxResults", DEFAULT_RESULTS)]
    answer: dict[str, Any] = {"TrainingJobSummaries": [each for _, each in page]}
    if len(page) < len(keyed):
        answer["NextToken"] = _write_token(made_for, page[-1][0])
    return answer


OBJECTIVE_SORT = "FinalObjectiveMetricValue"


def _key(each: Mapping[str, Any], sort: str) -> Any:
    if sort == OBJECTIVE_SORT:
        return each[OBJECTIVE]["Value"]
    fields = {"Name": "TrainingJobName", "CreationTime": "CreationTime", "Status": "TrainingJobStatus"}
    return each[fields[sort]]


def _write_token(made_for: list[Any], place: tuple[Any, str]) -> str:
    return urlsafe_b64encode(json.dumps([made_for, *place]).encode()).decode()


def _read_token(token: str, made_for: list[Any]) -> tuple[Any, str]:
    refusal = ValidationException(
        "NextToken is not one that ListTrainingJobsForHyperParameterTuningJob gave out for these arguments"
    )
    try:
        match json.loads(urlsafe_b64decode(token.encode("ascii"))):
            case [list(made), str() | int() | float() as key, str(name)] if made == made_for:
                pass
            case _:
                raise refusal
    except (ValueError, RecursionError):
        raise refusal from None
    if isinstance(key, str) != (made_for[1] in {"Name", "Status"}):
        raise refusal
    return key, name
