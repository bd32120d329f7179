"""Results as responses: what the round trips through botocore do not show."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import InternalFailure
from clary.wire.encode import encode
from clary.wire.encode_xml import escape
from clary.wire.http import FileBody, HttpResponse
from clary.wire.models import SERVICES
from clary.wire.route import Route
from tests.unit.wire.botocore_peer import operation_of, received


def encoded(service: str, name: str, result: dict[str, Any], **kwargs: Any) -> HttpResponse:
    return encode(Route(service, SERVICES[service], operation_of(service, name)), result, **kwargs)


def headers_of(response: HttpResponse) -> dict[str, str]:
    found = {name.lower(): value for name, value in response.headers}
    assert len(found) == len(response.headers)
    return found


def test_json() -> None:
    result = {
        "TrainingJobArn": "arn",
        "HyperParameters": {"k": "é"},
        "FailureReason": None,
        "CreationTime": 5,
    }
    response = encoded("sagemaker", "DescribeTrainingJob", result)

    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {
        "TrainingJobArn": "arn",
        "HyperParameters": {"k": "é"},
        "CreationTime": 5.0,
    }
    assert response.status == 200
    assert headers_of(response) == {
        "content-type": "application/x-amz-json-1.1",
        "content-length": str(len(response.body)),
    }


def test_json_1_0() -> None:
    found = Route("cloudwatch", "json", operation_of("cloudwatch", "ListMetrics"), json_version="1.0")

    assert ("Content-Type", "application/x-amz-json-1.0") in encode(found, {}).headers


def test_an_operation_without_a_result_has_an_empty_body() -> None:
    response = encoded("sagemaker", "StopTrainingJob", {})

    assert response.body == b""
    assert headers_of(response)["content-length"] == "0"


def test_an_aware_datetime_is_a_timestamp_too() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    as_date = encoded("sagemaker", "DescribeTrainingJob", {"CreationTime": moment})
    as_number = encoded("sagemaker", "DescribeTrainingJob", {"CreationTime": moment.timestamp()})

    assert as_date == as_number


def test_log_times_are_whole_milliseconds() -> None:
    event = {"timestamp": 1700000000123, "message": "m", "ingestionTime": 1700000000124}
    response = encoded("logs", "GetLogEvents", {"events": [event], "nextForwardToken": "f/1"})

    assert b'"timestamp":1700000000123,' in response.body  # type: ignore[operator]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("protocol", ["json", "query"])
def test_a_diverged_metric_reaches_the_client_as_a_float(value: float, protocol: Any) -> None:
    operation = operation_of("cloudwatch", "GetMetricStatistics")
    response = encode(Route("cloudwatch", protocol, operation), {"Datapoints": [{"Average": value}]})

    (point,) = received(operation, response, protocol)["Datapoints"]

    assert repr(point["Average"]) == repr(value)


@pytest.mark.parametrize(
    ("service", "name", "result"),
    [
        ("sagemaker", "DescribeTrainingJob", {"TrainingJobNmae": "j"}),
        ("sagemaker", "DescribeTrainingJob", {"ResourceConfig": {"Cores": 1}}),
        ("sagemaker", "StopTrainingJob", {"TrainingJobArn": "a"}),
        ("sts", "GetCallerIdentity", {"Acount": "1"}),
        ("s3", "ListObjectsV2", {"Contents": [{"Kye": "k"}]}),
        ("s3", "HeadObject", {"Size": 1}),
        ("sagemaker-metrics", "BatchGetMetrics", {"Results": []}),
    ],
)
def test_a_member_that_does_not_exist_is_our_own_mistake(service: str, name: str, result: Any) -> None:
    with pytest.raises(InternalFailure, match="has no member"):
        encoded(service, name, result)


def test_query_xml() -> None:
    response = encoded(
        "sts", "GetCallerIdentity", {"Account": "1", "Arn": "a<b", "UserId": "u"}, request_id="r-1"
    )

    assert response.body == (
        b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        b"<UserId>u</UserId><Account>1</Account><Arn>a&lt;b</Arn></GetCallerIdentityResult>"
        b"<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    )
    assert headers_of(response)["content-type"] == "text/xml"


def test_s3_xml() -> None:
    contents = [{"Key": "a/b", "Size": 1, "LastModified": 1.5, "ETag": '"e"', "StorageClass": "STANDARD"}]
    result = {"Name": "b", "Contents": contents, "IsTruncated": False, "CommonPrefixes": [{"Prefix": "p/"}]}
    response = encoded("s3", "ListObjectsV2", result)

    assert response.body == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<IsTruncated>false</IsTruncated><Contents><Key>a/b</Key><LastModified>1970-01-01T00:00:01.500Z</LastModified>"
        b"<ETag>&quot;e&quot;</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents><Name>b</Name>"
        b"<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>"
    )
    assert headers_of(response)["content-type"] == "application/xml"


@pytest.mark.parametrize(
    ("name", "result", "root"),
    [
        ("ListBuckets", {"Buckets": []}, "ListAllMyBucketsResult"),
        ("ListObjects", {}, "ListBucketResult"),
        ("ListObjectVersions", {}, "ListVersionsResult"),
        ("ListParts", {}, "ListPartsResult"),
        ("CreateMultipartUpload", {"UploadId": "u"}, "InitiateMultipartUploadResult"),
        ("CompleteMultipartUpload", {"Key": "k"}, "CompleteMultipartUploadResult"),
        ("DeleteObjects", {}, "DeleteResult"),
        ("GetObjectTagging", {"TagSet": []}, "Tagging"),
        ("CopyObject", {"CopyObjectResult": {"ETag": "e"}}, "CopyObjectResult"),
        ("UploadPartCopy", {"CopyPartResult": {"ETag": "e"}}, "CopyPartResult"),
        ("GetBucketLocation", {}, "LocationConstraint"),
        ("GetObjectAttributes", {"ObjectSize": 1}, "GetObjectAttributesResponse"),
    ],
)
def test_s3_documents_have_the_root_that_s3_gives_them(name: str, result: dict[str, Any], root: str) -> None:
    body = encoded("s3", name, result).body

    assert isinstance(body, bytes)
    assert ElementTree.fromstring(body).tag == f"{{http://s3.amazonaws.com/doc/2006-03-01/}}{root}"


def test_an_attribute_with_its_namespace() -> None:
    grants = [{"Grantee": {"Type": "CanonicalUser", "ID": "i"}, "Permission": "FULL_CONTROL"}]
    body = encoded("s3", "GetBucketAcl", {"Grants": grants}).body

    assert isinstance(body, bytes)
    grantee = next(ElementTree.fromstring(body).iter("{http://s3.amazonaws.com/doc/2006-03-01/}Grantee"))
    assert grantee.attrib == {"{http://www.w3.org/2001/XMLSchema-instance}type": "CanonicalUser"}


@pytest.mark.parametrize(
    ("name", "status"), [("DeleteObject", 204), ("PutObject", 200), ("DeleteBucket", 204)]
)
def test_what_has_no_document_has_no_body(name: str, status: int) -> None:
    response = encoded("s3", name, {})

    assert (response.status, response.body) == (status, b"")
    assert headers_of(response).get("content-length") == (None if status == 204 else "0")


def test_an_object_and_its_headers() -> None:
    result = {
        "Body": b"data",
        "ContentType": "text/plain",
        "ETag": '"e"',
        "LastModified": 7.9,
        "AcceptRanges": "bytes",
        "Metadata": {"a-b": "1"},
        "ContentRange": "bytes 0-3/9",
        "DeleteMarker": False,
    }
    response = encoded(
        "s3", "GetObject", result, status=206, headers=[("x-amz-request-id", "r"), ("etag", '"f"')]
    )

    assert (response.status, response.body) == (206, b"data")
    assert headers_of(response) == {
        "content-type": "text/plain",
        "content-length": "4",
        "etag": '"f"',
        "last-modified": "Thu, 01 Jan 1970 00:00:07 GMT",
        "accept-ranges": "bytes",
        "content-range": "bytes 0-3/9",
        "x-amz-meta-a-b": "1",
        "x-amz-delete-marker": "false",
        "x-amz-request-id": "r",
    }


def test_a_file_is_passed_through_with_its_length() -> None:
    body = FileBody(fd=3, offset=10, length=20)
    response = encoded("s3", "GetObject", {"Body": body})

    assert response.body is body
    assert headers_of(response) == {"content-length": "20"}


def test_a_stream_is_passed_through_without_a_length() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a"

    stream = chunks()
    response = encoded("s3", "GetObject", {"Body": stream})

    assert response.body is stream
    assert response.headers == []


def test_head_says_the_length_of_what_it_does_not_send() -> None:
    response = encoded("s3", "HeadObject", {"ContentLength": 123, "ContentType": "a/b"})

    assert response.body == b""
    assert headers_of(response) == {"content-length": "123", "content-type": "a/b"}


def test_not_modified_has_no_body() -> None:
    response = encoded("s3", "GetObject", {"Body": b"data", "ETag": "e"}, status=304)

    assert response.body == b""
    assert headers_of(response) == {"etag": "e"}


def test_not_modified_closes_the_file_it_does_not_send(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"data")
    fd = os.open(tmp_path / "blob", os.O_RDONLY)

    encoded("s3", "GetObject", {"Body": FileBody(fd, 0, 4)}, status=304)

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_header_cannot_be_broken_out_of() -> None:
    hostile = "a\r\nSet-Cookie: b\0c"
    response = encoded(
        "s3", "GetObject", {"Body": b"", "ContentDisposition": hostile, "Metadata": {"k": "x\r\n\r\ny"}}
    )

    assert headers_of(response)["content-disposition"] == "a Set-Cookie: b c"
    assert headers_of(response)["x-amz-meta-k"] == "x y"


def test_headers_beyond_ascii_can_be_sent() -> None:
    result = {"Body": b"", "ContentDisposition": 'filename="é日"', "Metadata": {"k": "é日" * 60}}
    found = headers_of(encoded("s3", "GetObject", result))

    assert found["content-disposition"].encode("latin-1").decode() == 'filename="é日"'
    assert found["x-amz-meta-k"].isascii()
    assert "\n" not in found["x-amz-meta-k"]


@given(st.text(), st.text(st.characters(max_codepoint=0x20)))
def test_no_text_makes_ill_formed_xml(text: str, blank: str) -> None:
    element = ElementTree.fromstring(f'<a b="{escape(text + blank)}">{escape(text + blank)}</a>')

    assert element.text == element.attrib["b"] or not text + blank
    assert len(element.attrib["b"]) == len(text + blank)


def test_escape_keeps_what_xml_can_carry() -> None:
    text = "<&>\"' \t\r\n é日😀\x85\u2028"

    assert ElementTree.fromstring(f"<a>{escape(text)}</a>").text == text
    assert escape("a\x00b\x1f\ufffe") == "a\ufffdb\ufffd\ufffd"


def test_rest_json() -> None:
    response = encoded(
        "sagemaker-metrics", "BatchGetMetrics", {"MetricQueryResults": [{"Status": "Complete"}]}
    )

    assert response.body == b'{"MetricQueryResults":[{"Status":"Complete"}]}'
    assert headers_of(response)["content-type"] == "application/json"


def test_the_runtime_answers_with_the_containers_bytes() -> None:
    result = {"Body": b"\xff[1]", "ContentType": "application/x-npy", "InvokedProductionVariant": "v"}
    response = encoded("sagemaker-runtime", "InvokeEndpoint", result)
    operation = operation_of("sagemaker-runtime", "InvokeEndpoint")

    assert io.BytesIO(received(operation, response, "rest-json")["Body"]).read() == b"\xff[1]"
    assert headers_of(response)["x-amzn-invoked-production-variant"] == "v"


def test_a_route_without_an_operation_cannot_be_answered() -> None:
    with pytest.raises(InternalFailure):
        encode(Route("s3", "rest-xml"), {})
