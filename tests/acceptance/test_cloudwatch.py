"""CloudWatch logs and metrics over boto3 against a real server: every operation and its paginators."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.model import ServiceModel

from tests.acceptance.programs import GROUP, submit, wait

JOBS = "/aws/sagemaker/TrainingJobs"
SCRIPT = """
for step in range(25):
    print(f"step={step} loss={1 / (1 + step)}", flush=True)
print("ERROR nothing really", flush=True)
"""


@pytest.fixture(scope="module")
def job(shared_server):
    name = submit(
        shared_server,
        SCRIPT,
        AlgorithmSpecification={"MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]},
    )
    return wait(shared_server, name)


@pytest.fixture
def logs(shared_server):
    return shared_server.client("logs")


@pytest.fixture
def cloudwatch(shared_server):
    return shared_server.client("cloudwatch")


def window(job):
    return {"StartTime": job["TrainingStartTime"], "EndTime": job["TrainingEndTime"] + timedelta(minutes=1)}


def loss(job):
    dimensions = [{"Name": "TrainingJobName", "Value": job["TrainingJobName"]}]
    return {"Namespace": JOBS, "MetricName": "loss", "Dimensions": dimensions}


def test_groups_and_streams(job, logs):
    groups = [
        group["logGroupName"]
        for page in logs.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 1})
        for group in page["logGroups"]
    ]
    assert GROUP in groups
    assert len(set(groups)) == len(groups) > 1
    prefix = f"{job['TrainingJobName']}/"
    (stream,) = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=prefix, limit=1)[
        "logStreams"
    ]
    assert stream["logStreamName"].startswith(f"{prefix}algo-1-")
    assert stream["creationTime"] <= stream["firstEventTimestamp"] <= stream["lastEventTimestamp"]


def test_filter_by_terms_through_the_paginator(job, logs):
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=GROUP,
        logStreamNamePrefix=f"{job['TrainingJobName']}/",
        filterPattern="loss",
        PaginationConfig={"PageSize": 7},
    )
    events = [event for page in pages for event in page["events"]]
    assert [event["message"].split()[0] for event in events] == [f"step={step}" for step in range(25)]
    assert len({event["eventId"] for event in events}) == 25
    (error,) = logs.filter_log_events(logGroupName=GROUP, filterPattern="ERROR")["events"]
    assert error["message"] == "ERROR nothing really"


def test_a_group_that_is_not_there(logs):
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log group does not exist"):
        logs.describe_log_streams(logGroupName="/aws/lambda/nothing")


def test_statistics_of_a_jobs_metric(job, cloudwatch):
    answer = cloudwatch.get_metric_statistics(
        **loss(job), **window(job), Period=60, Statistics=["Average", "SampleCount", "Minimum", "Maximum"]
    )
    assert answer["Label"] == "loss"
    assert sum(point["SampleCount"] for point in answer["Datapoints"]) == 25
    assert max(point["Maximum"] for point in answer["Datapoints"]) == 1
    assert min(point["Minimum"] for point in answer["Datapoints"]) == pytest.approx(1 / 25)
    assert all(point["Timestamp"].second == 0 for point in answer["Datapoints"])


def test_metric_data_through_the_paginator(job, cloudwatch):
    stat = {"Metric": loss(job), "Period": 60, "Stat": "SampleCount"}
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[{"Id": "count", "MetricStat": stat}],
        **window(job),
        PaginationConfig={"PageSize": 1},
    )
    assert sum(sum(page["MetricDataResults"][0]["Values"]) for page in pages) == 25


def test_metrics_are_listed_with_their_dimensions(job, cloudwatch):
    pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace=JOBS, MetricName="loss")
    assert loss(job) in [metric for page in pages for metric in page["Metrics"]]


def test_a_users_own_metric(cloudwatch):
    now = datetime.now(UTC)
    dimensions = [{"Name": "study", "Value": "ß/1"}]
    cloudwatch.put_metric_data(
        Namespace="Mine",
        MetricData=[
            {
                "MetricName": "seen",
                "Dimensions": dimensions,
                "Timestamp": now,
                "Value": value,
                "Unit": "Count",
            }
            for value in (1.0, 4.0)
        ],
    )
    (point,) = cloudwatch.get_metric_statistics(
        Namespace="Mine",
        MetricName="seen",
        Dimensions=dimensions,
        StartTime=now - timedelta(seconds=1),
        EndTime=now + timedelta(seconds=1),
        Period=3600,
        ExtendedStatistics=["p100"],
        Statistics=["Sum"],
    )["Datapoints"]
    assert (point["Sum"], point["Unit"], point["ExtendedStatistics"]) == (5.0, "Count", {"p100": 4.0})


def test_refusals_carry_cloudwatchs_codes(job, cloudwatch):
    day = {"StartTime": job["TrainingStartTime"], "EndTime": job["TrainingStartTime"] + timedelta(days=2)}
    with pytest.raises(ClientError) as caught:
        cloudwatch.get_metric_statistics(**loss(job), **day, Period=60, Statistics=["Average"])
    assert caught.value.response["Error"]["Code"] == "InvalidParameterCombination"
    assert "2,880 datapoints" in caught.value.response["Error"]["Message"]
    with pytest.raises(cloudwatch.exceptions.InvalidParameterValueException, match="a name of your own"):
        cloudwatch.put_metric_data(Namespace="AWS/Mine", MetricData=[{"MetricName": "a", "Value": 1.0}])


def test_older_clients_speak_the_query_protocol(job, shared_server, monkeypatch):
    monkeypatch.setattr(ServiceModel, "resolved_protocol", "query")
    client = boto3.session.Session().client(
        "cloudwatch",
        endpoint_url=shared_server.url,
        region_name=shared_server.region,
        aws_access_key_id=shared_server.access_key_id,
        aws_secret_access_key=shared_server.secret_access_key,
    )
    sent = []
    client.meta.events.register("before-send", lambda request, **_: sent.append(request.body))
    answer = client.get_metric_statistics(**loss(job), **window(job), Period=60, Statistics=["SampleCount"])
    assert "Action=GetMetricStatistics" in str(sent[0])
    assert sum(point["SampleCount"] for point in answer["Datapoints"]) == 25
    with pytest.raises(ClientError) as caught:
        client.get_metric_statistics(**loss(job), **window(job), Period=60)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterCombination"
