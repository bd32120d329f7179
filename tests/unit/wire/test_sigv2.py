"""Older presigned URLs, signed by the client library itself."""

from __future__ import annotations

import io
from typing import Any

import boto3
import pytest

from clary.errors import S3Fault
from clary.wire import sigv2
from clary.wire.http import Headers, HttpRequest

SECRET = "a secret"


def presigned(
    operation: str, *, headers: dict[str, str] | None = None, lasts_s: int = 60, **given: Any
) -> HttpRequest:
    client = boto3.session.Session().client(
        "s3",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="AKID",
        aws_secret_access_key=SECRET,
        aws_session_token=given.pop("token", None),
    )
    params = {"Bucket": "bucket", "Key": "k ü/+%", **given}
    params = {name: value for name, value in params.items() if value is not None}
    url = client.generate_presigned_url(operation, Params=params, ExpiresIn=lasts_s)
    path, _, query = url.removeprefix("http://127.0.0.1:1").partition("?")
    method = "PUT" if operation in ("put_object", "upload_part") else "GET"
    return HttpRequest(method, path, query, Headers((headers or {}).items()), io.BytesIO())


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("get_object", {}),
        ("get_object", {"ResponseContentType": "a/b; c=ü", "ResponseCacheControl": "no"}),
        ("put_object", {"ContentType": "a/b", "Metadata": {"m": "x y"}}),
        ("upload_part", {"UploadId": "u", "PartNumber": 3}),
        ("get_object", {"token": "a+token/="}),
        ("list_parts", {"UploadId": "u"}),
        ("list_objects_v2", {"Key": None, "Prefix": "p q"}),
        ("get_bucket_location", {"Key": None}),
        ("list_buckets", {"Key": None, "Bucket": None}),
    ],
)
def test_what_the_client_signs_is_accepted(operation: str, given: dict[str, Any]) -> None:
    request = presigned(operation, **given)
    assert sigv2.is_presigned(request)
    assert sigv2.key_id(request) == "AKID"
    sigv2.verify(request, secret=SECRET, now=0)


def test_signed_headers_come_out_of_the_query() -> None:
    request = presigned("put_object", ContentType="a/b", Metadata={"m": "1"})
    headers = sigv2.verify(request, secret=SECRET, now=0).headers
    assert (headers["content-type"], headers["x-amz-meta-m"]) == ("a/b", "1")


def test_a_content_type_the_http_library_added_does_no_harm() -> None:
    request = presigned("put_object", headers={"Content-Type": "application/x-www-form-urlencoded"})
    sigv2.verify(request, secret=SECRET, now=0)
    signed = presigned("put_object", ContentType="a/b")
    other = HttpRequest("PUT", signed.path, signed.query.replace("a%2Fb", "c%2Fd"), Headers(), io.BytesIO())
    with pytest.raises(S3Fault):
        sigv2.verify(other, secret=SECRET, now=0)


@pytest.mark.parametrize(
    ("old", "new"),
    [("/bucket/", "/bucket2/"), ("Expires=", "Expires=9"), ("Signature=", "Signature=x"), ("no-cache", "no")],
)
def test_anything_changed_is_refused(old: str, new: str) -> None:
    request = presigned("get_object", ResponseCacheControl="no-cache")
    assert old in request.path + request.query
    changed = HttpRequest(
        "GET", request.path.replace(old, new), request.query.replace(old, new), Headers(), io.BytesIO()
    )
    with pytest.raises(S3Fault) as caught:
        sigv2.verify(changed, secret=SECRET, now=0)
    assert (caught.value.code, caught.value.status) == ("SignatureDoesNotMatch", 403)


def test_a_header_not_signed_a_wrong_secret_and_a_wrong_method_are_refused() -> None:
    request = presigned("get_object", headers={"x-amz-meta-a": "1"})
    plain = presigned("get_object")
    other = HttpRequest("DELETE", plain.path, plain.query, Headers(), io.BytesIO())
    for asked, secret in ((request, SECRET), (plain, "another"), (other, SECRET)):
        with pytest.raises(S3Fault, match="signature"):
            sigv2.verify(asked, secret=secret, now=0)


def test_an_old_url_is_refused() -> None:
    with pytest.raises(S3Fault) as caught:
        sigv2.verify(presigned("get_object"), secret=SECRET, now=1e11)
    assert (caught.value.code, caught.value.status) == ("AccessDenied", 403)


def test_a_query_that_lacks_something() -> None:
    request = HttpRequest("GET", "/b/k", "AWSAccessKeyId=a&Signature=b", Headers(), io.BytesIO())
    with pytest.raises(S3Fault, match="Expires"):
        sigv2.verify(request, secret=SECRET, now=0)


@pytest.mark.parametrize("expires", ["9" * 5000, "٣", "-1", "1e3", ""])
def test_an_expiry_that_is_no_time_is_refused(expires: str) -> None:
    query = f"AWSAccessKeyId=a&Signature=b&Expires={expires}"
    with pytest.raises(S3Fault) as caught:
        sigv2.verify(HttpRequest("GET", "/b/k", query, Headers(), io.BytesIO()), secret=SECRET, now=0)
    assert caught.value.code == "AuthorizationQueryParametersError"
