"""Requests as parameters: what each protocol writes, and that no document, however hostile, is a fault of ours."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.errors import ClientFault
from clary.wire.decode import decode
from clary.wire.http import Headers, HttpRequest
from clary.wire.models import operation_model, service_model
from clary.wire.route import Route, settle

_examples = settings(max_examples=100, deadline=None)


def decoded(
    service: str,
    name: str,
    body: bytes = b"",
    *,
    query: str = "",
    labels: dict[str, str] | None = None,
    **headers: str,
) -> dict[str, Any]:
    protocol = {"sts": "query", "iam": "query", "s3": "rest-xml"}.get(service, "json")
    if service.startswith("sagemaker-"):
        protocol = "rest-json"
    found = Route(service, protocol, operation_model(service, name), labels=labels or {})  # type: ignore[arg-type]
    pairs = [(key.replace("_", "-"), value) for key, value in headers.items()]
    return decode(HttpRequest("POST", "/", query, Headers(pairs), io.BytesIO(body)), found)


def refusal(*args: Any, **kwargs: Any) -> ClientFault:
    with pytest.raises(ClientFault) as caught:
        decoded(*args, **kwargs)
    assert 400 <= caught.value.status < 500
    return caught.value


def job(document: Any) -> dict[str, Any]:
    return decoded("sagemaker", "CreateTrainingJob", json.dumps(document).encode())


# --- JSON -----------------------------------------------------------------------------------------------------


def test_json_values() -> None:
    given = {
        "TrainingJobName": "j",
        "HyperParameters": {"lr": '"5e-05"', "empty": ""},
        "ResourceConfig": {"InstanceCount": 2.0, "VolumeSizeInGB": 1},
        "EnableManagedSpotTraining": False,
        "Tags": [{"Key": "k", "Value": ""}],
        "RoleArn": None,
        "NoSuchMember": {"a": [1, 2]},
    }

    assert job(given) == {
        "TrainingJobName": "j",
        "HyperParameters": {"lr": '"5e-05"', "empty": ""},
        "ResourceConfig": {"InstanceCount": 2, "VolumeSizeInGB": 1},
        "EnableManagedSpotTraining": False,
        "Tags": [{"Key": "k", "Value": ""}],
    }


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}"])
def test_no_document_is_an_empty_one(body: bytes) -> None:
    assert decoded("sagemaker", "ListTrainingJobs", body) == {}


@pytest.mark.parametrize("written", [1700000000.25, "2023-11-14T22:13:20.250Z", "1700000000.25"])
def test_a_json_timestamp_is_epoch_seconds(written: Any) -> None:
    body = json.dumps({"CreationTimeAfter": written}).encode()

    assert decoded("sagemaker", "ListTrainingJobs", body) == {"CreationTimeAfter": 1700000000.25}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"TrainingJobName": 5}, "NUMBER_VALUE can not be converted to a String"),
        ({"TrainingJobName": True}, "TRUE_VALUE can not be converted to a String"),
        ({"TrainingJobName": ["a"]}, "Start of list found where not expected"),
        ({"TrainingJobName": {"a": 1}}, "Start of structure or map found where not expected"),
        ({"Tags": {"Key": "a"}}, "Start of structure or map found where not expected"),
        ({"Tags": ["a"]}, "STRING_VALUE can not be converted to a Tag"),
        ({"HyperParameters": {"epochs": 3}}, "NUMBER_VALUE can not be converted to a String"),
        ({"HyperParameters": "x"}, "STRING_VALUE can not be converted to a map"),
        ({"ResourceConfig": {"InstanceCount": "1"}}, "STRING_VALUE can not be converted to an Integer"),
        ({"ResourceConfig": {"InstanceCount": 1.5}}, "NUMBER_VALUE can not be converted to an Integer"),
        ({"ResourceConfig": {"InstanceCount": True}}, "TRUE_VALUE can not be converted to an Integer"),
        ({"ResourceConfig": {"InstanceCount": 2**31}}, "out of the range"),
        ({"ResourceConfig": {"InstanceCount": 1e300}}, "out of the range"),
        ({"EnableManagedSpotTraining": "true"}, "STRING_VALUE can not be converted to a Boolean"),
        ({"TrainingJobName": "\ud800"}, "surrogate"),
        ({"HyperParameters": {"\udfff": ""}}, "surrogate"),
    ],
)
def test_json_of_the_wrong_type_is_refused(document: Any, said: str) -> None:
    with pytest.raises(ClientFault) as caught:
        job(document)

    assert caught.value.code == "SerializationException"
    assert said in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"5",
        b'"text"',
        b"\xff\xfe{}",
        b'{"TrainingJobName": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"a": ' + b"9" * 100_000 + b"}",
        b'{"TrainingJobName": "a"} {}',
        b"TrainingJobName=a",
        b"\x00",
    ],
    ids=lambda body: repr(body[:16]),
)
def test_what_is_not_a_json_document_is_refused(body: bytes) -> None:
    assert refusal("sagemaker", "CreateTrainingJob", body).code == "SerializationException"


@pytest.mark.parametrize("written", ["1e999", "-1e999", "9" * 400])
def test_a_number_that_no_float_holds_is_refused(written: str) -> None:
    body = f'{{"CreationTimeAfter": {written}}}'.encode()

    assert refusal("sagemaker", "ListTrainingJobs", body).code == "SerializationException"


@pytest.mark.parametrize(
    "written", ["1e15", "-1e15", '"yesterday"', '"9999-99-99"', '""', "true", "[]", '"NaN"']
)
def test_what_is_not_a_time_is_refused(written: str) -> None:
    body = f'{{"CreationTimeAfter": {written}}}'.encode()

    assert refusal("sagemaker", "ListTrainingJobs", body).code == "SerializationException"


def test_a_shape_inside_itself_is_followed_only_so_far() -> None:
    expression: dict[str, Any] = {"Operator": "And"}
    for _ in range(200):
        expression = {"SubExpressions": [expression]}
    body = json.dumps({"Resource": "Experiment", "SearchExpression": expression}).encode()

    assert "nested deeper" in refusal("sagemaker", "Search", body).message


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_members = [
    (service, name, member)
    for service, name in [
        ("sagemaker", "CreateTrainingJob"),
        ("sagemaker", "ListTrainingJobs"),
        ("logs", "GetLogEvents"),
        ("cloudwatch", "PutMetricData"),
        ("sagemaker-metrics", "BatchPutMetrics"),
    ]
    for member in service_model(service).operation_model(name).input_shape.members
]


@_examples
@given(_json, st.sampled_from(_members))
def test_any_json_is_parameters_or_a_client_fault(value: Any, where: tuple[str, str, str]) -> None:
    service, name, member = where
    body = json.dumps({member: value}).encode()
    try:
        assert isinstance(decoded(service, name, body), dict)
    except ClientFault as fault:
        assert fault.code == "SerializationException"


@pytest.mark.parametrize("name", ["PutMetricData", "ListMetrics"])
def test_a_compressed_document(name: str) -> None:
    body = gzip.compress(b'{"Namespace": "n"}')

    assert decoded("cloudwatch", name, body, Content_Encoding="gzip") == {"Namespace": "n"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 400),
        (b"", 400),
        (gzip.compress(b'{"Namespace": "n"}')[:-9], 400),
        (gzip.compress(b" " * (17 << 20)), 413),
    ],
    ids=["plain", "empty", "cut", "bomb"],
)
def test_a_compressed_document_that_is_none_is_refused(body: bytes, status: int) -> None:
    assert refusal("cloudwatch", "PutMetricData", body, Content_Encoding="gzip").status == status


def test_a_form_may_be_compressed() -> None:
    body = gzip.compress(b"Action=GetRole&RoleName=r")
    asked = HttpRequest("POST", "/", "", Headers([("content-encoding", "gzip")]), io.BytesIO(body))

    found, replayed = settle(Route("iam", "query"), asked)

    assert found.key == ("iam", "GetRole")
    assert decode(replayed, found) == {"RoleName": "r"}


# --- forms ----------------------------------------------------------------------------------------------------


def test_a_form() -> None:
    body = (
        b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam&RoleSessionName=a+b&DurationSeconds=900"
        b"&Tags.member.2.Key=second&Tags.member.2.Value=&Tags.member.10.Key=tenth&Tags.member.10.Value=v"
        b"&Tags.member.1.Key=first&Tags.member.1.Value=%C3%A9&NoSuchMember=1"
    )

    assert decoded("sts", "AssumeRole", body) == {
        "RoleArn": "arn:aws:iam",
        "RoleSessionName": "a b",
        "DurationSeconds": 900,
        "Tags": [
            {"Key": "first", "Value": "é"},
            {"Key": "second", "Value": ""},
            {"Key": "tenth", "Value": "v"},
        ],
    }


@pytest.mark.parametrize(
    "body",
    [
        b"DurationSeconds=soon",
        b"DurationSeconds=99999999999",
        b"DurationSeconds=" + b"9" * 10_000,
        b"DurationSeconds=%EF%BC%99",
        b"DurationSeconds.a=1",
        b"RoleArn=%ff",
        b"\xff=1",
        b"a." * 100_000 + b"=1",
        b"&".join(b"a=1" for _ in range(200_000)),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_form_that_cannot_be_read_is_refused(body: bytes) -> None:
    assert refusal("sts", "AssumeRole", body).code == "MalformedInput"


@_examples
@given(
    st.text()
    | st.from_regex(r"(Tags(\.(member|entry|[0-9]|Key|Value)){0,4}=[a-z0-9]?&?){0,4}", fullmatch=True)
)
def test_any_form_is_parameters_or_a_client_fault(body: str) -> None:
    try:
        assert isinstance(decoded("sts", "AssumeRole", body.encode()), dict)
    except ClientFault as fault:
        assert fault.code == "MalformedInput"


# --- S3 -------------------------------------------------------------------------------------------------------

_DELETE = b"<Delete><Object><Key>a</Key></Object><Object><Key>b c</Key></Object><Quiet>true</Quiet></Delete>"


@pytest.mark.parametrize(
    "body",
    [
        _DELETE,
        b'<?xml version="1.0" encoding="UTF-8"?>\n' + _DELETE,
        _DELETE.replace(b"<Delete>", b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'),
        _DELETE.replace(b"<Quiet>", b"<Unknown><Deep/></Unknown>\n <Quiet>"),
    ],
)
def test_an_xml_document(body: bytes) -> None:
    assert decoded("s3", "DeleteObjects", body, labels={"Bucket": "b"}) == {
        "Bucket": "b",
        "Delete": {"Objects": [{"Key": "a"}, {"Key": "b c"}], "Quiet": True},
    }


def test_xml_text_is_verbatim() -> None:
    body = "<Delete><Object><Key> é&amp;&#13;\n&lt;]]&gt;<![CDATA[<x>]]></Key></Object></Delete>".encode()

    assert decoded("s3", "DeleteObjects", body)["Delete"]["Objects"] == [{"Key": " é&\r\n<]]><x>"}]


_BOMB = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10 if n else b"ha") for n in range(20))


@pytest.mark.parametrize(
    "body",
    [
        b"<Delete>",
        b"<Delete></Other>",
        b"<Other/>",
        b"not xml",
        b"{}",
        b"\x00",
        b"<Delete>\x01</Delete>",
        b"<Delete>&#1;</Delete>",
        b"<Delete>&nbsp;</Delete>",
        b"<Delete>\xff</Delete>",
        b"<Delete/><Delete/>",
        b'<?xml version="1.0" encoding="no-such-code"?><Delete/>',
        b'<?xml version="1.0" encoding="utf-7"?><Delete/>',
        b"<Delete>" * 100_000,
        b"<!DOCTYPE Delete><Delete/>",
        b"<!DOCTYPE Delete [" + _BOMB + b"]><Delete>&e19;</Delete>",
        b'<!DOCTYPE Delete [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete>&x;</Delete>',
        b'<!DOCTYPE Delete SYSTEM "http://127.0.0.1:1/x"><Delete/>',
        b"<Delete><Quiet>perhaps</Quiet></Delete>",
        b"<Delete><Quiet><Deep/></Quiet></Delete>",
        b"<Delete><Object><Key><Deep/></Key></Object></Delete>",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_xml_that_cannot_be_read_is_refused(body: bytes) -> None:
    assert refusal("s3", "DeleteObjects", body).code == "MalformedXML"


@_examples
@given(st.binary(max_size=30), st.sampled_from(["", "Object", "Quiet", "Object><Key"]))
def test_any_xml_is_parameters_or_a_client_fault(inside: bytes, within: str) -> None:
    body = b"<Delete><%s>%s</Delete>" % (within.encode(), inside) if within else inside
    try:
        assert isinstance(decoded("s3", "DeleteObjects", body), dict)
    except ClientFault as fault:
        assert fault.code == "MalformedXML"


def test_a_streaming_body_is_left_unread() -> None:
    class Unreadable:
        def read(self, size: int = -1, /) -> bytes:
            raise AssertionError("the body was read")

    body = Unreadable()
    found = Route("s3", "rest-xml", operation_model("s3", "PutObject"), labels={"Bucket": "b", "Key": "k"})

    assert decode(HttpRequest("PUT", "/b/k", "", Headers(), body), found)["Body"] is body


def test_headers_and_query() -> None:
    got = decoded(
        "s3",
        "GetObject",
        query="partNumber=3&response-content-type=a%2Fb+c&response-expires=Thu,%2001%20Jan%201970%2000:00:07%20GMT",
        If_Modified_Since="Thu, 01 Jan 1970 00:00:09 GMT",
        Range="bytes=0-1",
        IF_MATCH='"etag"',
    )

    assert got == {
        "PartNumber": 3,
        "ResponseContentType": "a/b c",
        "ResponseExpires": 7.0,
        "IfModifiedSince": 9.0,
        "Range": "bytes=0-1",
        "IfMatch": '"etag"',
    }


def test_metadata_headers() -> None:
    got = decoded("s3", "CopyObject", x_amz_meta_A_b="1", X_Amz_Meta_c="")

    assert got["Metadata"] == {"a-b": "1", "c": ""}


def test_a_header_that_is_a_list() -> None:
    got = decoded("s3", "GetObjectAttributes", x_amz_object_attributes="ETag, ObjectSize,")

    assert got["ObjectAttributes"] == ["ETag", "ObjectSize"]


def test_an_unreadable_date_header_is_one_not_sent() -> None:
    assert decoded("s3", "GetObject", If_Modified_Since="yesterday", If_Unmodified_Since="Thu, 99 Foo") == {}


@pytest.mark.parametrize("query", ["partNumber=one", "partNumber=", "partNumber=99999999999"])
def test_a_bad_argument_is_named(query: str) -> None:
    fault = refusal("s3", "GetObject", query=query)

    assert (fault.code, fault.extra) == ("InvalidArgument", {"ArgumentName": "partNumber"})


def test_a_query_string_that_is_not_utf8_is_refused() -> None:
    assert refusal("s3", "ListObjectsV2", query="prefix=%ff").code == "InvalidURI"


# --- REST with JSON -------------------------------------------------------------------------------------------


def test_the_runtime_takes_its_body_as_it_is() -> None:
    got = decoded(
        "sagemaker-runtime",
        "InvokeEndpoint",
        b'{"inputs": "x"}',
        labels={"EndpointName": "my%20end"},
        Content_Type="application/json",
        X_Amzn_SageMaker_Target_Variant="blue",
    )

    assert got == {
        "EndpointName": "my end",
        "Body": b'{"inputs": "x"}',
        "ContentType": "application/json",
        "TargetVariant": "blue",
    }


def test_a_rest_json_document() -> None:
    body = b'{"TrialComponentName": "t", "MetricData": [{"MetricName": "m", "Timestamp": 5, "Value": 0.5}]}'
    got = decoded("sagemaker-metrics", "BatchPutMetrics", body)

    assert got["MetricData"] == [{"MetricName": "m", "Timestamp": 5.0, "Value": 0.5}]
    assert refusal("sagemaker-metrics", "BatchPutMetrics", b"[").code == "SerializationException"
