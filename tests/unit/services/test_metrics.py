import pytest

from clary.errors import ClientFault
from clary.routing.gauges import Flown, Gauges
from clary.services import metrics
from clary.store.base import Point, Resource
from tests.model_program import endpoint_row

JOBS = "/aws/sagemaker/TrainingJobs"


@pytest.fixture
def now():
    return lambda: 5000.0


def add_job(store, name, losses=(), cpu=()):
    streams = {f"{name}/algo-1-1": "algo-1"}
    store.create(
        Resource(
            "training-job", name, f"arn:{name}", "InProgress", {}, {"streams": streams}, created=1, modified=1
        )
    )
    series = f"training-job/{name}"
    store.append([Point(series, "loss", at, value) for at, value in losses])
    store.append([Point(f"{series}/algo-1", "CPUUtilization", at, value) for at, value in cpu])


def statistics(context, name="loss", namespace=JOBS, dimensions=None, **more):
    asked = {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in (dimensions or {}).items()],
        "StartTime": 0.0,
        "EndTime": 3600.0,
        "Period": 60,
        "Statistics": ["Average"],
        **more,
    }
    return metrics.get_metric_statistics(context, asked)["Datapoints"]


def test_a_jobs_metric_by_the_minute(context):
    add_job(context.store, "job", losses=[(61, 4.0), (90, 2.0), (121, 1.0)])
    add_job(context.store, "other", losses=[(61, 100.0)])
    assert statistics(context, dimensions={"TrainingJobName": "job"}) == [
        {"Timestamp": 60.0, "Unit": "None", "Average": 3.0},
        {"Timestamp": 120.0, "Unit": "None", "Average": 1.0},
    ]


def test_the_first_period_is_read_from_its_beginning(context):
    add_job(context.store, "job", losses=[(61, 4.0), (90, 2.0)])
    (point,) = statistics(context, dimensions={"TrainingJobName": "job"}, StartTime=80.5)
    assert point["Average"] == 3.0
    assert statistics(
        context, dimensions={"TrainingJobName": "job"}, StartTime=80.5, EndTime=200.0, Period=1
    ) == [{"Timestamp": 90.0, "Unit": "None", "Average": 2.0}]


def test_utilisation_is_in_percent_by_host(context):
    add_job(context.store, "job", cpu=[(10, 150.0)])
    host = {"Host": "job/algo-1"}
    (point,) = statistics(context, "CPUUtilization", dimensions=host, Statistics=["Maximum", "SampleCount"])
    assert point == {"Timestamp": 0.0, "Unit": "Percent", "Maximum": 150.0, "SampleCount": 1.0}
    assert statistics(context, "CPUUtilization", dimensions=host, Unit="Seconds") == []
    assert len(statistics(context, "CPUUtilization", dimensions=host, Unit="Percent")) == 1


@pytest.mark.parametrize(
    "dimensions", [{}, {"TrainingJobName": "none"}, {"TrainingJobName": "job", "Host": "x"}, {"Job": "job"}]
)
def test_other_dimensions_have_no_datapoints(context, dimensions):
    add_job(context.store, "job", losses=[(61, 4.0)])
    assert statistics(context, dimensions=dimensions) == []


def test_values_too_large_for_cloudwatch_are_passed_over(context):
    add_job(context.store, "job", losses=[(1, 1e308), (2, 1e308), (3, 3.0)])
    (point,) = statistics(context, dimensions={"TrainingJobName": "job"}, Statistics=["Sum", "Maximum"])
    assert (point["Sum"], point["Maximum"]) == (3.0, 3.0)


@pytest.mark.parametrize(
    "token", ["", "x", "metric-series x", "training-job \x00", "metric-series " + "9" * 6000]
)
def test_a_list_token_from_nowhere_is_refused(context, token):
    with pytest.raises(ClientFault) as caught:
        metrics.list_metrics(context, {"NextToken": token})
    assert caught.value.code == "InvalidNextToken"


def test_percentiles(context):
    add_job(context.store, "job", losses=[(n, float(n)) for n in range(1, 11)])
    (point,) = statistics(
        context, dimensions={"TrainingJobName": "job"}, Statistics=[], ExtendedStatistics=["p50", "p90"]
    )
    assert point == {"Timestamp": 0.0, "Unit": "None", "ExtendedStatistics": {"p50": 5.0, "p90": 9.0}}


def test_a_diverged_loss_does_not_spoil_the_answer(context):
    add_job(context.store, "job", losses=[(1, float("nan")), (2, 3.0)])
    (point,) = statistics(context, dimensions={"TrainingJobName": "job"})
    assert point["Average"] == 3.0


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        ({"Statistics": []}, "InvalidParameterCombination", "At least one"),
        ({"Period": 0}, "InvalidParameterValue", "Period"),
        ({"StartTime": 9.0, "EndTime": 9.0}, "InvalidParameterValue", "StartTime must be less"),
        ({"Period": 1}, "InvalidParameterCombination", "3,600 datapoints, which exceeds the limit of 1,440"),
        ({"ExtendedStatistics": ["q50"]}, "InvalidParameterValue", "q50"),
    ],
)
def test_what_cannot_be_asked_is_told(context, asked, code, message):
    with pytest.raises(ClientFault, match=message) as caught:
        statistics(context, **asked)
    assert caught.value.code == code


def put(context, *data, namespace="My/App"):
    metrics.put_metric_data(context, {"Namespace": namespace, "MetricData": list(data)})


def test_a_users_metrics_come_back_by_dimensions_and_unit(context):
    run = [{"Name": "run", "Value": "1"}, {"Name": "fold", "Value": "a"}]
    put(
        context,
        {"MetricName": "time", "Value": 2.0, "Timestamp": 10.0, "Unit": "Seconds", "Dimensions": run},
        {"MetricName": "time", "Value": 4.0, "Timestamp": 20.0, "Unit": "Seconds", "Dimensions": run[::-1]},
        {"MetricName": "time", "Value": 9.0, "Timestamp": 20.0, "Dimensions": run},
        {"MetricName": "time", "Value": 7.0, "Timestamp": 20.0},
    )
    both = statistics(context, "time", "My/App", {"fold": "a", "run": "1"})
    assert sorted((point["Unit"], point["Average"]) for point in both) == [("None", 9.0), ("Seconds", 3.0)]
    (point,) = statistics(context, "time", "My/App", {"fold": "a", "run": "1"}, Unit="Seconds")
    assert point["Average"] == 3.0
    (point,) = statistics(context, "time", "My/App")
    assert point["Average"] == 7.0


def test_counts_and_statistic_sets_weigh(context):
    put(
        context,
        {"MetricName": "a", "Timestamp": 1.0, "Values": [1.0, 5.0], "Counts": [3.0, 1.0]},
        {
            "MetricName": "b",
            "Timestamp": 1.0,
            "StatisticValues": {"SampleCount": 10.0, "Sum": 30.0, "Minimum": 1.0, "Maximum": 8.0},
        },
    )
    every = ["SampleCount", "Sum", "Minimum", "Maximum"]
    (first,) = statistics(context, "a", "My/App", Statistics=every)
    (second,) = statistics(context, "b", "My/App", Statistics=every)
    assert [first[name] for name in every] == [4.0, 8.0, 1.0, 5.0]
    assert [second[name] for name in every] == [10.0, pytest.approx(30.0), 1.0, 8.0]


def test_a_time_not_given_is_now(context):
    put(context, {"MetricName": "a", "Value": 1.0})
    (point,) = statistics(context, "a", "My/App", StartTime=4990.0, EndTime=5010.0)
    assert point["Timestamp"] == 4980.0


@pytest.mark.parametrize(
    ("datum", "code"),
    [
        ({}, "InvalidParameterCombination"),
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination"),
        ({"Value": float("nan")}, "InvalidParameterValue"),
        ({"Value": -1e300}, "InvalidParameterValue"),
        ({"Values": [1.0], "Counts": [1e300]}, "InvalidParameterValue"),
        ({"Values": [1.0, 2.0], "Counts": [1.0]}, "InvalidParameterValue"),
        ({"Values": [1.0], "Counts": [0.5]}, "InvalidParameterValue"),
        (
            {"StatisticValues": {"SampleCount": 2.0, "Sum": 9.0, "Minimum": 1.0, "Maximum": 2.0}},
            "InvalidParameterValue",
        ),
    ],
)
def test_bad_data_is_refused_as_a_whole(context, datum, code):
    with pytest.raises(ClientFault, match=r"MetricData\.member\.2") as caught:
        put(context, {"MetricName": "good", "Value": 1.0}, {"MetricName": "bad", **datum})
    assert caught.value.code == code
    assert metrics.list_metrics(context, {"Namespace": "My/App"})["Metrics"] == []


@pytest.mark.parametrize("namespace", ["AWS/SageMaker", JOBS])
def test_the_services_namespaces_are_not_the_users(context, namespace):
    with pytest.raises(ClientFault, match="use a name of your own"):
        put(context, {"MetricName": "a", "Value": 1.0}, namespace=namespace)


def listed(context, **asked):
    found, token = [], None
    while True:
        answer = metrics.list_metrics(context, {**asked, **({"NextToken": token} if token else {})})
        found += answer["Metrics"]
        token = answer.get("NextToken")
        if token is None:
            return [
                (
                    entry["Namespace"],
                    entry["MetricName"],
                    {pair["Name"]: pair["Value"] for pair in entry["Dimensions"]},
                )
                for entry in found
            ]


def test_metrics_of_jobs_and_users_are_listed(context, monkeypatch):
    monkeypatch.setattr(metrics, "LIST_PAGE", 1)
    for name in ("a", "b"):
        add_job(context.store, name, losses=[(1, 1.0)], cpu=[(1, 1.0)])
    put(context, {"MetricName": "x", "Value": 1.0}, {"MetricName": "x", "Value": 1.0, "Unit": "Seconds"})
    put(context, {"MetricName": "y", "Value": 1.0}, namespace="Other")
    loss = [(JOBS, "loss", {"TrainingJobName": name}) for name in "ab"]
    cpu = [(JOBS, "CPUUtilization", {"Host": f"{name}/algo-1"}) for name in "ab"]
    everything = listed(context)
    key = str
    assert sorted(everything, key=key) == sorted(
        [*loss, *cpu, ("My/App", "x", {}), ("Other", "y", {})], key=key
    )
    assert listed(context, MetricName="loss") == loss
    assert listed(context, Namespace="Other") == [("Other", "y", {})]
    assert listed(context, Dimensions=[{"Name": "Host"}]) == cpu
    assert listed(context, Dimensions=[{"Name": "TrainingJobName", "Value": "b"}]) == loss[1:]


def query(name, job="job", **more):
    metric = {
        "Namespace": JOBS,
        "MetricName": name,
        "Dimensions": [{"Name": "TrainingJobName", "Value": job}],
    }
    return {"Id": f"q{job}{name}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Average"}, **more}


def data(context, *queries, **more):
    asked = {"MetricDataQueries": list(queries), "StartTime": 0.0, "EndTime": 3600.0, **more}
    return metrics.get_metric_data(context, asked)


def test_metric_data_newest_first_unless_asked(context):
    add_job(context.store, "job", losses=[(1, 4.0), (61, 2.0)])
    (found,) = data(context, query("loss"))["MetricDataResults"]
    assert (found["Timestamps"], found["Values"], found["StatusCode"]) == (
        [60.0, 0.0],
        [2.0, 4.0],
        "Complete",
    )
    (found,) = data(context, query("loss", Label="L"), ScanBy="TimestampAscending")["MetricDataResults"]
    assert (found["Values"], found["Label"]) == ([4.0, 2.0], "L")


def test_metric_data_is_paged_over_queries(context):
    for name in ("a", "b"):
        add_job(context.store, name, losses=[(60 * n, float(n)) for n in range(5)])
    seen, token, pages = {"qaloss": [], "qbloss": []}, None, 0
    while True:
        more = {"NextToken": token} if token else {}
        answer = data(context, query("loss", "a"), query("loss", "b"), MaxDatapoints=3, **more)
        for result in answer["MetricDataResults"]:
            seen[result["Id"]] += result["Values"]
        pages += 1
        token = answer.get("NextToken")
        if token is None:
            break
    assert seen == {"qaloss": [4.0, 3.0, 2.0, 1.0, 0.0], "qbloss": [4.0, 3.0, 2.0, 1.0, 0.0]}
    assert pages == 4


def test_metric_data_says_what_it_cannot_do(context):
    with pytest.raises(ClientFault, match="Expression is not supported"):
        data(context, {"Id": "m", "Expression": "a/b"})
    with pytest.raises(ClientFault, match="each Id"):
        data(context, query("loss"), query("loss"))
    with pytest.raises(ClientFault) as caught:
        data(context, query("loss"), NextToken="next")
    assert caught.value.code == "InvalidNextToken"


def add_endpoint(context, *flown):
    context.store.create(endpoint_row("shop", {"blue": ["127.0.0.1:1"], "green": ["127.0.0.1:2"]}))
    gauges = Gauges(context.store, lambda: 61.0)
    for one in flown:
        gauges.note(one)
    gauges.flush()


def flown(status=200, model_s=0.01, instances=2):
    return Flown("shop", "blue", instances, status, model_s, 0.001)


def of_endpoint(context, name, statistic, namespace="AWS/SageMaker", **dimensions):
    dimensions = dimensions or {"EndpointName": "shop", "VariantName": "blue"}
    found = statistics(context, name, namespace, dimensions, Statistics=[statistic])
    return [(point["Timestamp"], point["Unit"], point[statistic]) for point in found]


def test_what_was_asked_of_an_endpoint(context):
    add_endpoint(context, *[flown()] * 7, flown(status=400), flown(status=503), flown(status=None))
    assert of_endpoint(context, "Invocations", "Sum") == [(60.0, "None", 10.0)]
    assert of_endpoint(context, "Invocations", "SampleCount") == [(60.0, "None", 10.0)]
    assert of_endpoint(context, "InvocationsPerInstance", "Sum") == [(60.0, "None", 5.0)]
    assert of_endpoint(context, "Invocation4XXErrors", "Sum") == [(60.0, "None", 1.0)]
    assert of_endpoint(context, "Invocation4XXErrors", "Average") == [(60.0, "None", 0.1)]
    assert of_endpoint(context, "Invocation4XXErrors", "Maximum") == [(60.0, "None", 1.0)]
    assert of_endpoint(context, "Invocation5XXErrors", "Sum") == [(60.0, "None", 2.0)]
    assert of_endpoint(context, "InvocationModelErrors", "Sum") == [(60.0, "None", 3.0)]
    assert of_endpoint(context, "ModelLatency", "Average") == [(60.0, "Microseconds", 10_000.0)]
    assert of_endpoint(context, "OverheadLatency", "Average") == [(60.0, "Microseconds", 1_000.0)]
    assert of_endpoint(context, "Invocations", "Sum", EndpointName="shop", VariantName="green") == []
    assert of_endpoint(context, "Invocations", "Sum", VariantName="blue") == []


def test_utilisation_and_backlog_of_an_endpoint(context):
    add_endpoint(context)
    context.store.append(
        [
            Point("endpoint/shop/blue/algo-1", "CPUUtilization", 61.0, 80.0),
            Point("endpoint/shop/blue/algo-1", "CPUUtilization", 62.0, 60.0),
            Point("endpoint/shop", "ApproximateBacklogSize", 61.0, 12.0),
        ]
    )
    utilisation = "/aws/sagemaker/Endpoints"
    assert of_endpoint(context, "CPUUtilization", "Average", utilisation) == [(60.0, "Percent", 70.0)]
    backlog = of_endpoint(context, "ApproximateBacklogSize", "Maximum", EndpointName="shop")
    assert backlog == [(60.0, "Count", 12.0)]


def test_endpoints_metrics_are_listed(context):
    add_endpoint(context, flown())
    context.store.append([Point("endpoint/shop/blue/algo-1", "CPUUtilization", 61.0, 80.0)])
    both = [{"Name": "EndpointName", "Value": "shop"}, {"Name": "VariantName", "Value": "blue"}]
    own = metrics.list_metrics(context, {"Namespace": "AWS/SageMaker"})["Metrics"]
    assert {"Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Dimensions": both} in own
    assert {entry["Namespace"] for entry in own} == {"AWS/SageMaker"}
    used = metrics.list_metrics(context, {"Namespace": "/aws/sagemaker/Endpoints"})["Metrics"]
    assert [entry["MetricName"] for entry in used] == ["CPUUtilization"]
    found, token = [], None
    for _ in range(20):
        page = metrics.list_metrics(context, {"NextToken": token} if token else {})
        found += page["Metrics"]
        token = page.get("NextToken")
        if token is None:
            break
    assert len(found) == len(own) + len(used)
