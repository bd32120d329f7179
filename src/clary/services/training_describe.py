"""DescribeTrainingJob: what was asked, what became of it, and the fields that SageMaker fills in itself.

The clients read some of those without a guard (`OutputDataConfig.KmsKeyId`, `StatusMessage`): they must be there even
where nobody sent them.
"""

from __future__ import annotations

from typing import Any

from clary.domain.kinds import TRAINING_JOB
from clary.store.base import Resource


def describe(job: Resource) -> dict[str, Any]:
    """The members of DescribeTrainingJobResponse that are known by now."""
    spec, state = job.spec, job.state
    known: dict[str, Any] = {
        **spec,
        "TrainingJobArn": job.arn,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": state["secondary"],
        "SecondaryStatusTransitions": state["transitions"],
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "AlgorithmSpecification": _algorithm(spec["AlgorithmSpecification"]),
        "OutputDataConfig": {"KmsKeyId": "", "CompressionType": "GZIP", **spec["OutputDataConfig"]},
        "EnableNetworkIsolation": spec.get("EnableNetworkIsolation", False),
        "EnableInterContainerTrafficEncryption": spec.get("EnableInterContainerTrafficEncryption", False),
        "EnableManagedSpotTraining": spec.get("EnableManagedSpotTraining", False),
        "FailureReason": state.get("reason"),
        "TuningJobArn": state.get("tuning", {}).get("arn"),
        "TrainingStartTime": state.get("started"),
        "TrainingEndTime": state.get("ended"),
    }
    if "started" in state and "ended" in state:
        known["TrainingTimeInSeconds"] = known["BillableTimeInSeconds"] = seconds(
            state["started"], state["ended"]
        )
    if "artifacts" in state:
        known["ModelArtifacts"] = {"S3ModelArtifacts": state["artifacts"]}
    if TRAINING_JOB.is_final(job.status):
        # one that ended in nan has no final value, and the wire has no word for it
        finals = [
            {"MetricName": name, "Value": value, "Timestamp": at}
            for name, (value, at) in state.get("final_metrics", {}).items()
            if value is not None
        ]
        known["FinalMetricDataList"] = finals or None
    return {key: value for key, value in known.items() if value is not None}


def seconds(started: float, ended: float) -> int:
    """Whole seconds, one at least: clients divide by it."""
    return max(1, round(ended - started))


def _algorithm(algorithm: dict[str, Any]) -> dict[str, Any]:
    filled = {"EnableSageMakerMetricsTimeSeries": bool(algorithm.get("MetricDefinitions"))}
    return {**filled, **algorithm}
