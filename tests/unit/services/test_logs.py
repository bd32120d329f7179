from dataclasses import replace

import pytest

from clary.errors import ClientFault, ResourceNotFoundException
from clary.services import log_streams, logs
from clary.store.base import Resource

GROUP = {"logGroupName": log_streams.TRAINING_JOBS}
STREAM = "job/algo-1-1000"


@pytest.fixture
def now():
    return lambda: 5.0


def add_job(context, name="job", lines=(), created_ms=1000, host="algo-1"):
    row = Resource(
        "training-job",
        name,
        f"arn:{name}",
        "InProgress",
        {},
        {"streams": {f"{name}/{host}-{created_ms}": host}, "folder": name},
        created=1.0,
        modified=1.0,
    )
    context.store.create(row)
    folder = context.settings.jobs / name / "log"
    folder.mkdir(parents=True)
    path = folder / f"{host}.log"
    extend(path, lines)
    return path


def extend(path, lines):
    with path.open("a") as file:
        file.writelines(f"{at_ms}\t{text}\n" for at_ms, text in lines)


def get(context, **more):
    return logs.get_log_events(context, {**GROUP, "logStreamName": STREAM, **more})


def messages(answer):
    return [event["message"] for event in answer["events"]]


def test_an_unknown_group_or_stream_is_told_as_cloudwatch_tells_it(context):
    add_job(context)
    with pytest.raises(ResourceNotFoundException, match="log group does not exist"):
        logs.describe_log_streams(context, {"logGroupName": "/aws/lambda/x"})
    for name in ("nojob/algo-1-1000", "job/algo-2-1000", "plain"):
        with pytest.raises(ResourceNotFoundException, match="log stream does not exist"):
            get(context, logStreamName=name)


def test_groups_of_kinds_without_jobs_are_there_and_empty(context):
    answer = logs.describe_log_streams(context, {"logGroupName": "/aws/sagemaker/ProcessingJobs"})
    assert answer == {"logStreams": []}


def test_a_group_may_be_named_by_its_arn(context):
    add_job(context)
    arn = logs.describe_log_groups(context, {"logGroupNamePrefix": log_streams.TRAINING_JOBS})["logGroups"][
        0
    ]["arn"]
    found = logs.describe_log_streams(context, {"logGroupIdentifier": arn})
    assert [stream["logStreamName"] for stream in found["logStreams"]] == [STREAM]


def test_groups_are_paged(context):
    first = logs.describe_log_groups(context, {"limit": 2})
    rest = logs.describe_log_groups(context, {"limit": 2, "nextToken": first["nextToken"]})
    names = [group["logGroupName"] for group in first["logGroups"] + rest["logGroups"]]
    assert names == sorted(log_streams.JOB_GROUPS)
    assert "nextToken" not in rest


def test_streams_by_prefix_tell_their_times(context):
    add_job(context, lines=[(1500, "a"), (2500, "b")])
    add_job(context, "job-2")
    (stream,) = logs.describe_log_streams(context, {**GROUP, "logStreamNamePrefix": "job/"})["logStreams"]
    assert stream["logStreamName"] == STREAM
    assert stream["creationTime"] == 1000
    assert (stream["firstEventTimestamp"], stream["lastEventTimestamp"]) == (1500, 2500)
    both = logs.describe_log_streams(context, {**GROUP, "logStreamNamePrefix": "job"})["logStreams"]
    assert [stream["logStreamName"] for stream in both] == ["job-2/algo-1-1000", STREAM]


def test_streams_are_ordered_by_their_last_event(context):
    add_job(context, "a", [(9, "x")])
    add_job(context, "b", [(5, "x")])
    add_job(context, "c", [(7, "x")])
    asked = {**GROUP, "orderBy": "LastEventTime", "descending": True, "limit": 2}
    first = logs.describe_log_streams(context, asked)
    second = logs.describe_log_streams(context, {**asked, "nextToken": first["nextToken"]})
    names = [stream["logStreamName"][0] for stream in first["logStreams"] + second["logStreams"]]
    assert names == ["a", "c", "b"]
    with pytest.raises(ClientFault, match="Cannot order by LastEventTime"):
        logs.describe_log_streams(context, {**asked, "logStreamNamePrefix": "a"})


def test_all_events_from_the_head_by_pages(context):
    add_job(context, lines=[(n, f"line {n}") for n in range(25)])
    seen, token = [], None
    while True:
        more = {"nextToken": token} if token else {}
        answer = get(context, startFromHead=True, limit=10, **more)
        if answer["nextForwardToken"] == token:
            break
        seen += messages(answer)
        token = answer["nextForwardToken"]
    assert seen == [f"line {n}" for n in range(25)]


def test_the_forward_token_goes_on_where_the_file_has_grown(context):
    path = add_job(context, lines=[(1, "one")])
    token = get(context, startFromHead=True)["nextForwardToken"]
    again = get(context, startFromHead=True, nextToken=token)
    assert (again["events"], again["nextForwardToken"]) == ([], token)
    with path.open("a") as file:
        file.write("2\ttw")
    assert get(context, startFromHead=True, nextToken=token)["events"] == []
    with path.open("a") as file:
        file.write("o\n")
    assert messages(get(context, startFromHead=True, nextToken=token)) == ["two"]


def test_without_a_token_the_newest_come_and_the_backward_token_leads_to_the_oldest(context):
    add_job(context, lines=[(n, f"line {n}") for n in range(25)])
    answer = get(context, limit=10)
    assert messages(answer) == [f"line {n}" for n in range(15, 25)]
    assert messages(get(context, nextToken=answer["nextForwardToken"])) == []
    seen, token = messages(answer), None
    while answer["nextBackwardToken"] != token:
        token = answer["nextBackwardToken"]
        answer = get(context, limit=10, nextToken=token)
        seen = messages(answer) + seen
    assert seen == [f"line {n}" for n in range(25)]


def test_start_is_inclusive_and_end_exclusive(context):
    add_job(context, lines=[(1, "a"), (2, "b"), (2, "c"), (3, "d")])
    for head in (True, False):
        assert messages(get(context, startTime=2, endTime=3, startFromHead=head)) == ["b", "c"]
        assert messages(get(context, startTime=4, startFromHead=head)) == []
        assert messages(get(context, endTime=2, startFromHead=head)) == ["a"]


def test_reading_as_the_sdk_does_prints_each_line_once(context):
    """It starts again at the last time it saw and skips as many events as it printed of that time."""
    path = add_job(context)
    printed, at_ms, skip = [], 0, 0
    for number in range(12):
        extend(path, [(number // 5, f"line {number}")])
        for event in get(context, startTime=at_ms, startFromHead=True)["events"][skip:]:
            printed.append(event["message"])
            skip = skip + 1 if event["timestamp"] == at_ms else 1
            at_ms = event["timestamp"]
    assert printed == [f"line {number}" for number in range(12)]


def test_a_page_holds_a_megabyte_or_one_event(context):
    add_job(context, lines=[(1, "x" * 700_000), (2, "y" * 700_000), (3, "z" * 2_000_000)])
    sizes, token = [], None
    for _ in range(3):
        answer = get(context, startFromHead=True, **({"nextToken": token} if token else {}))
        sizes.append([len(text) for text in messages(answer)])
        token = answer["nextForwardToken"]
    assert sizes == [[700_000], [700_000], [2_000_000]]


@pytest.mark.parametrize("token", ["", "f/3", "f/99999", "x/0", "f/-1", "b/1e3"])
def test_a_token_nobody_gave_out_is_refused(context, token):
    add_job(context, lines=[(1, "one"), (2, "two")])
    with pytest.raises(ClientFault, match="nextToken is invalid") as caught:
        get(context, nextToken=token)
    assert caught.value.code == "InvalidParameterException"


def test_a_job_that_has_not_started_has_no_events(context):
    path = add_job(context)
    path.unlink()
    assert get(context)["events"] == []
    assert get(context, startFromHead=True, startTime=99)["events"] == []


def filtered(context, **more):
    return logs.filter_log_events(context, {**GROUP, **more})


@pytest.mark.parametrize(
    "token", ["", "1", "1/2", "x/2/s", "1/--2/s", "1/2-/s", "9" * 6000 + "/2/s", "٣/2/s"]
)
def test_a_filter_token_from_nowhere_is_refused(context, token):
    with pytest.raises(ClientFault, match="nextToken is invalid") as caught:
        filtered(context, nextToken=token)
    assert caught.value.code == "InvalidParameterException"


def test_filter_merges_streams_by_time(context):
    add_job(context, "a", [(1, "a1"), (4, "a4"), (4, "a4 again")])
    add_job(context, "b", [(2, "b2"), (4, "b4")])
    assert messages(filtered(context)) == ["a1", "b2", "a4", "a4 again", "b4"]
    assert messages(filtered(context, startTime=2, endTime=4)) == ["b2"]
    assert messages(filtered(context, logStreamNamePrefix="b/")) == ["b2", "b4"]
    assert messages(filtered(context, logStreamNames=["a/algo-1-1000"], filterPattern="again")) == [
        "a4 again"
    ]


def test_filter_pages_give_each_event_once(context):
    add_job(context, "a", [(n, f"a{n}") for n in range(10)])
    add_job(context, "b", [(n, f"b{n}") for n in range(10)])
    seen, token = [], None
    while True:
        answer = filtered(context, limit=3, filterPattern="-5", **({"nextToken": token} if token else {}))
        seen += messages(answer)
        token = answer.get("nextToken")
        if token is None:
            break
        assert len(answer["events"]) == 3
    assert seen == [f"{job}{n}" for n in range(10) if n != 5 for job in "ab"]


def test_a_rare_pattern_ends_its_page_after_much_was_searched(context):
    add_job(context, "a", [(1, "x" * 1_000_000)] * 40 + [(2, "needle")])
    answer = filtered(context, filterPattern="needle")
    seen = messages(answer)
    assert seen == []
    while "nextToken" in answer:
        answer = filtered(context, filterPattern="needle", nextToken=answer["nextToken"])
        seen += messages(answer)
    assert seen == ["needle"]


@pytest.mark.parametrize(
    "asked",
    [
        {"filterPattern": "{ $.x = 1 }"},
        {"nextToken": "later"},
        {"logStreamNames": [STREAM], "logStreamNamePrefix": "job"},
    ],
)
def test_what_filter_cannot_do_is_said(context, asked):
    add_job(context)
    with pytest.raises(ClientFault) as caught:
        filtered(context, **asked)
    assert caught.value.code == "InvalidParameterException"


def test_filter_needs_the_streams_it_names(context):
    with pytest.raises(ResourceNotFoundException):
        filtered(context, logStreamNames=["gone/algo-1-1"])


def test_a_job_without_streams_yet_has_none(context):
    add_job(context)
    context.store.update("training-job", "job", lambda row: replace(row, state={}))
    assert logs.describe_log_streams(context, {**GROUP, "logStreamNamePrefix": "job/"})["logStreams"] == []


# -- endpoints

ENDPOINT_GROUP = f"{log_streams.ENDPOINTS}Sentiment"


def add_endpoint(context, name="Sentiment"):
    row = Resource("endpoint", name, f"arn:{name.lower()}", "Creating", {}, {}, created=1.0, modified=1.0)
    context.store.create(row)


def add_instance(context, name, lines=(), variant="AllTraffic", **state):
    folder = f"endpoint-instance/{name}"
    placed = {"streams": {f"{name}/algo-1-1000": "algo-1"}, "folder": folder, **state}
    row = Resource(
        "endpoint-instance",
        name,
        f"arn:{name}",
        "InProgress",
        {"VariantName": variant},
        placed,
        created=2.0,
        modified=2.0,
    )
    context.store.create(row)
    (context.settings.jobs / folder / "log").mkdir(parents=True)
    extend(context.settings.jobs / folder / "log" / "algo-1.log", lines)


def of_endpoint(context, **more):
    return logs.filter_log_events(
        context, {"logGroupName": ENDPOINT_GROUP, "logStreamNamePrefix": "AllTraffic/", **more}
    )


def test_an_endpoint_without_instances_has_an_empty_group(context):
    with pytest.raises(ResourceNotFoundException, match="log group does not exist"):
        of_endpoint(context)
    add_endpoint(context)
    assert of_endpoint(context) == {"events": [], "searchedLogStreams": []}
    assert logs.describe_log_streams(context, {"logGroupName": ENDPOINT_GROUP}) == {"logStreams": []}


def test_an_endpoints_streams_are_those_of_its_instances(context):
    add_endpoint(context)
    add_instance(context, "Sentiment.0a", [(1, "one"), (3, "three")])
    add_instance(context, "Sentiment.0b", [(2, "two")])
    add_instance(context, "Sentiment.0c", [(2, "other")], variant="second")
    add_instance(context, "Sentiment-2.0d", [(2, "not its own")])
    add_instance(context, "Sentiment.0e", streams={})
    described = logs.describe_log_streams(context, {"logGroupName": ENDPOINT_GROUP})["logStreams"]
    assert [stream["logStreamName"] for stream in described] == [
        "AllTraffic/0a",
        "AllTraffic/0b",
        "second/0c",
    ]
    assert described[0]["creationTime"] == 2000
    assert messages(of_endpoint(context)) == ["one", "two", "three"]
    asked = {"logGroupName": ENDPOINT_GROUP, "logStreamName": "second/0c", "startFromHead": True}
    assert messages(logs.get_log_events(context, asked)) == ["other"]
    with pytest.raises(ResourceNotFoundException, match="log stream does not exist"):
        logs.get_log_events(context, {**asked, "logStreamName": "AllTraffic/0c"})


def test_the_log_of_an_endpoint_that_was_deleted_can_be_read(context):
    add_instance(context, "Sentiment.0a", [(1, "last words")])
    assert messages(of_endpoint(context)) == ["last words"]


def test_a_reader_that_follows_goes_on_behind_the_last_event(context):
    """As the SDKs do while an endpoint is made: they show the events of pages that have a token, and no others."""
    add_endpoint(context)
    add_instance(context, "Sentiment.0a", [(1, "one"), (2, "two")])
    page = of_endpoint(context)
    assert messages(page) == ["one", "two"]
    assert "nextToken" not in of_endpoint(context, nextToken=page["nextToken"])
    extend(context.settings.jobs / "endpoint-instance/Sentiment.0a/log/algo-1.log", [(3, "three")])
    assert messages(of_endpoint(context, nextToken=page["nextToken"])) == ["three"]


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("/aws/sagemaker/Endpoints/", ["A", "B", "Sentiment"]),
        ("/aws/sagemaker/Endpoints/Sent", ["Sentiment"]),
        ("/aws/sagemaker/End", ["A", "B", "Sentiment"]),
        ("/aws/sagemaker/Endpoints/A.0", []),
        ("/aws/lambda", []),
    ],
)
def test_each_endpoint_has_a_group(context, prefix, found):
    add_endpoint(context)
    add_endpoint(context, "B")
    add_instance(context, "A.0a")
    add_instance(context, "B.0a")
    described = logs.describe_log_groups(context, {"logGroupNamePrefix": prefix})["logGroups"]
    assert [group["logGroupName"].rpartition("/")[2] for group in described] == found
