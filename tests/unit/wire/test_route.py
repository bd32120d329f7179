"""Where a request goes, told from its head."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.errors import ClientFault
from clary.wire.decode import decode
from clary.wire.faults import unknown_operation
from clary.wire.http import Headers, HttpRequest
from clary.wire.route import credential_scope, read_document, route, settle


def request(
    method: str = "GET",
    path: str = "/",
    query: str = "",
    *,
    body: bytes = b"",
    scope: str = "",
    **headers: str,
) -> HttpRequest:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    if scope:
        credential = f"AKIA/20260101/us-east-1/{scope}/aws4_request"
        pairs.append(
            ("Authorization", f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0")
        )
    return HttpRequest(method, path, query, Headers(pairs), io.BytesIO(body))


class Unreadable:
    """A body that must not be touched."""

    def read(self, size: int = -1, /) -> bytes:
        raise AssertionError("the body was read")


def name_of(asked: HttpRequest) -> str | None:
    found = route(asked)
    return found.operation.name if found.operation else None


@pytest.mark.parametrize(
    ("target", "service", "operation"),
    [
        ("SageMaker.CreateTrainingJob", "sagemaker", "CreateTrainingJob"),
        ("Logs_20140328.GetLogEvents", "logs", "GetLogEvents"),
        ("GraniteServiceVersion20100801.GetMetricStatistics", "cloudwatch", "GetMetricStatistics"),
    ],
)
def test_a_target_names_service_and_operation(target: str, service: str, operation: str) -> None:
    found = route(request("POST", x_amz_target=target, scope="sagemaker"))

    assert found.key == (service, operation)
    assert found.protocol == "json"


@pytest.mark.parametrize(
    "target", ["SageMaker.MakeCoffee", "DynamoDB_20120810.GetItem", "SageMaker", "", ".", "S.é"]
)
def test_an_unknown_target_is_json_without_an_operation(target: str) -> None:
    found = route(request("POST", x_amz_target=target, scope="sagemaker"))

    assert (found.protocol, found.operation) == ("json", None)
    assert unknown_operation(found).code == "UnknownOperationException"


def test_json_version_and_query_mode_come_from_the_headers() -> None:
    asked = request(
        "POST",
        x_amz_target="GraniteServiceVersion20100801.ListMetrics",
        content_type="application/x-amz-json-1.0",
        x_amzn_query_mode="true",
    )

    found = route(asked)

    assert (found.json_version, found.query_mode) == ("1.0", True)


@pytest.mark.parametrize(
    ("scope", "service", "action"),
    [
        ("sts", "sts", "GetCallerIdentity"),
        ("iam", "iam", "GetRole"),
        ("monitoring", "cloudwatch", "GetMetricStatistics"),
    ],
)
def test_a_form_is_settled_by_its_action_and_can_be_read_again(scope: str, service: str, action: str) -> None:
    body = f"Action={action}&Version=x".encode()
    asked = request("POST", body=body, scope=scope)

    found, replayed = settle(route(asked), asked)

    assert (found.key, found.protocol) == ((service, action), "query")
    assert found.operation is not None
    assert replayed.body.read() == body


def test_route_reads_no_body_not_even_of_a_form() -> None:
    asked = HttpRequest("POST", "/", "", request(scope="sts").headers, Unreadable())

    assert route(asked).protocol == "query"


def test_a_presigned_form_has_action_and_scope_in_the_query() -> None:
    credential = "AKIA%2F20260101%2Fus-east-1%2Fsts%2Faws4_request"
    asked = request(query=f"Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Credential={credential}")

    found, _ = settle(route(asked), asked)

    assert found.key == ("sts", "GetCallerIdentity")


def test_an_unsigned_form_is_told_by_its_version() -> None:
    asked = request(
        "POST",
        body=b"Action=AssumeRole&Version=2011-06-15",
        content_type="application/x-www-form-urlencoded; charset=utf-8",
    )

    found, _ = settle(route(asked), asked)

    assert found.key == ("sts", "AssumeRole")


@pytest.mark.parametrize(
    "body", [b"", b"Action=", b"Action=Nonsense", b"\xff\xfe", b"Action=GetRole", b"a&b&c=%zz"]
)
def test_a_form_without_a_known_action_has_no_operation(body: bytes) -> None:
    asked = request("POST", body=body, scope="sts")

    found, _ = settle(route(asked), asked)

    assert found.operation is None
    assert unknown_operation(found).status == 400


@pytest.mark.parametrize("scope", ["ec2", "kms", "sns"])
def test_services_that_are_not_here_have_no_operation(scope: str) -> None:
    asked = request("POST", body=b"Action=DescribeInstances", scope=scope)

    found, _ = settle(route(asked), asked)

    assert found.operation is None
    assert scope in unknown_operation(found).message


def test_logs_without_a_target_has_no_operation() -> None:
    assert route(request("POST", scope="logs")).key[0] == "logs"
    assert name_of(request("POST", scope="logs")) is None


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("POST", "/endpoints/my-endpoint/invocations", ("sagemaker-runtime", "InvokeEndpoint")),
        ("POST", "/endpoints/my-endpoint/async-invocations", ("sagemaker-runtime", "InvokeEndpointAsync")),
        ("PUT", "/BatchPutMetrics", ("sagemaker-metrics", "BatchPutMetrics")),
        ("POST", "/BatchGetMetrics", ("sagemaker-metrics", "BatchGetMetrics")),
    ],
)
def test_sagemaker_paths(method: str, path: str, key: tuple[str, str]) -> None:
    assert route(request(method, path, scope="sagemaker")).key == key


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/endpoints/e/invocations"), ("POST", "/"), ("POST", "/a/b/c/d")]
)
def test_other_sagemaker_paths_have_no_operation(method: str, path: str) -> None:
    found = route(request(method, path, scope="sagemaker"))

    assert (found.protocol, found.operation) == ("rest-json", None)


def test_an_endpoints_path_signed_for_s3_is_an_object() -> None:
    assert name_of(request("PUT", "/endpoints/e/invocations", scope="s3")) == "PutObject"


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation"),
    [
        ("GET", "/", "", {}, "ListBuckets"),
        ("GET", "/", "x-id=ListBuckets", {}, "ListBuckets"),
        ("GET", "/b", "", {}, "ListObjects"),
        ("GET", "/b/", "", {}, "ListObjects"),
        ("GET", "/b", "prefix=p&encoding-type=url", {}, "ListObjects"),
        ("GET", "/b", "list-type=2&prefix=p", {}, "ListObjectsV2"),
        ("GET", "/b", "list-type=1", {}, "ListObjects"),
        ("GET", "/b", "versions", {}, "ListObjectVersions"),
        ("GET", "/b", "versions=", {}, "ListObjectVersions"),
        ("GET", "/b", "location", {}, "GetBucketLocation"),
        ("GET", "/b", "uploads", {}, "ListMultipartUploads"),
        ("GET", "/b", "versioning", {}, "GetBucketVersioning"),
        ("GET", "/b", "lifecycle", {}, "GetBucketLifecycleConfiguration"),
        ("HEAD", "/b", "", {}, "HeadBucket"),
        ("PUT", "/b", "", {}, "CreateBucket"),
        ("DELETE", "/b", "", {}, "DeleteBucket"),
        ("POST", "/b", "delete", {}, "DeleteObjects"),
        ("POST", "/b", "delete=", {}, "DeleteObjects"),
        ("GET", "/b/k", "", {}, "GetObject"),
        ("GET", "/b/k", "x-id=GetObject&partNumber=1", {}, "GetObject"),
        ("GET", "/b/k", "uploadId=u", {}, "ListParts"),
        ("GET", "/b/k", "tagging", {}, "GetObjectTagging"),
        ("GET", "/b/k", "attributes", {"x_amz_object_attributes": "ETag"}, "GetObjectAttributes"),
        ("GET", "/b/k", "attributes", {}, "GetObjectAttributes"),
        ("GET", "/b/k", "acl", {}, "GetObjectAcl"),
        ("HEAD", "/b/k", "", {}, "HeadObject"),
        ("PUT", "/b/k", "", {}, "PutObject"),
        ("PUT", "/b/k", "x-id=PutObject", {}, "PutObject"),
        ("PUT", "/b/k", "", {"x_amz_copy_source": "b/o"}, "CopyObject"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", {}, "UploadPart"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", {"x_amz_copy_source": "b/o"}, "UploadPartCopy"),
        ("PUT", "/b/k", "tagging", {}, "PutObjectTagging"),
        ("DELETE", "/b/k", "", {}, "DeleteObject"),
        ("DELETE", "/b/k", "uploadId=u", {}, "AbortMultipartUpload"),
        ("DELETE", "/b/k", "tagging", {}, "DeleteObjectTagging"),
        ("POST", "/b/k", "uploads", {}, "CreateMultipartUpload"),
        ("POST", "/b/k", "uploadId=u", {}, "CompleteMultipartUpload"),
        ("POST", "/b/k", "", {}, None),
        ("POST", "/b", "", {}, None),
        ("PATCH", "/b/k", "", {}, None),
        ("OPTIONS", "/", "", {}, None),
    ],
)
@pytest.mark.parametrize("scope", ["s3", ""])
def test_s3_operations(
    method: str, path: str, query: str, headers: dict[str, Any], operation: str | None, scope: str
) -> None:
    assert name_of(request(method, path, query, scope=scope, **headers)) == operation


def test_an_s3_request_for_nothing_is_not_implemented() -> None:
    fault = unknown_operation(route(request("POST", "/b/k", scope="s3")))

    assert (fault.code, fault.status) == ("NotImplemented", 501)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/b/a/b", "a/b"),
        ("/b//a", "/a"),
        ("/b/a//b/", "a//b/"),
        ("/b///", "//"),
        ("/b/../c", "../c"),
        ("/b/./a/../b", "./a/../b"),
        ("/b/%2e%2e/c", "../c"),
        ("/b/a%2Fb", "a/b"),
        ("/b/a+b%20c%2B", "a+b c+"),
        ("/b/%C3%A9%E6%97%A5%F0%9F%98%80", "é日😀"),
        ("/b/%00%01%7f", "\0\1\x7f"),
        ("/b/a%25zz%", "a%zz%"),
        ("/b/a;b=c,d@e:f", "a;b=c,d@e:f"),
    ],
)
def test_a_key_is_taken_as_it_is_written(path: str, key: str) -> None:
    asked = request("HEAD", path, scope="s3")

    assert decode(asked, route(asked)) == {"Bucket": "b", "Key": key}


def test_a_key_that_is_not_utf8_is_refused() -> None:
    asked = request("HEAD", "/b/%ff", scope="s3")

    with pytest.raises(ClientFault) as caught:
        decode(asked, route(asked))

    assert (caught.value.code, caught.value.status) == ("InvalidURI", 400)


@pytest.mark.parametrize(
    ("host", "path", "params"),
    [
        ("data.s3.localhost:7370", "/a//b", {"Bucket": "data", "Key": "a//b"}),
        ("data.s3.localhost", "/", {"Bucket": "data"}),
        ("a.b.s3.localhost", "/k", {"Bucket": "a.b", "Key": "k"}),
        ("localhost:7370", "/b/k", {"Bucket": "b", "Key": "k"}),
    ],
)
def test_a_host_may_carry_the_bucket(host: str, path: str, params: dict[str, str]) -> None:
    asked = request("HEAD", path, host=host)

    assert decode(asked, route(asked, virtual_hosts=(".s3.localhost",))) == params


@pytest.mark.parametrize(
    ("headers", "query", "scope"),
    [
        ({}, "", ""),
        ({"authorization": "AWS AKIA:signature"}, "", ""),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=/////"}, "", ""),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-1/iam/aws4_request"}, "", "iam"),
        ({}, "X-Amz-Credential=A%2F20260101%2Feu%2Fs3%2Faws4_request", "s3"),
        ({}, "X-Amz-Credential=%ff", ""),
    ],
)
def test_credential_scope(headers: dict[str, str], query: str, scope: str) -> None:
    assert credential_scope(request(query=query, **headers)) == scope


def test_a_document_over_the_limit_is_refused_before_it_is_all_read() -> None:
    body = io.BytesIO(b"x" * 300_000)

    with pytest.raises(ClientFault) as caught:
        read_document(body, limit=100_000)

    assert caught.value.status == 413
    assert body.tell() < 200_000


def test_a_document_of_just_the_limit_is_read() -> None:
    assert read_document(io.BytesIO(b"x" * 100_000), limit=100_000) == b"x" * 100_000


_WORDS = st.sampled_from(
    ["/", "b", "%2F", "%ff", "..", "?", "&", "=", "uploadId", "x-id", "é", "\x80", "+", ";", "\0"]
)
_TEXT = st.lists(_WORDS, max_size=8).map("".join)


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "BREW", ""]),
    path=_TEXT,
    query=_TEXT,
    scope=st.sampled_from(["", "s3", "sts", "sagemaker", "logs", "x/y", "é"]),
    body=st.binary(max_size=20),
)
def test_any_request_has_a_route_and_parameters_or_a_client_fault(
    method: str, path: str, query: str, scope: str, body: bytes
) -> None:
    asked = request(method, path, query, scope=scope, body=body)
    found, asked = settle(route(asked), asked)
    try:
        if found.operation is not None:
            assert isinstance(decode(asked, found), dict)
    except ClientFault as fault:
        assert 400 <= fault.status < 500
