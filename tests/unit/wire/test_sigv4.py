"""Requests signed by the client library's own signers are known; altered ones are not."""

from __future__ import annotations

import hashlib
import io
from calendar import timegm
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate, parsedate
from time import strptime
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import ClientFault
from clary.wire.http import Headers, HttpRequest
from clary.wire.sigv4 import CACHED_KEYS, Verifier

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
HOST = "http://localhost:7370"
JSON = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "SageMaker.ListModels"}
EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class AccessKey:
    secret: str = SECRET
    session_token: str | None = None
    expires: float | None = None


def sign(
    signer: type[SigV4Auth],
    url: str = f"{HOST}/",
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    service: str = "s3",
    token: str | None = None,
    secret: str = SECRET,
    **more: Any,
) -> HttpRequest:
    """The request as a server gets it that the client library signed and sent."""
    request = AWSRequest(method=method, url=url, data=body, headers=headers or {})
    signer(Credentials(KEY_ID, secret, token), service, "eu-west-1", **more).add_auth(request)
    return received(request, body)


def received(request: AWSRequest, body: bytes) -> HttpRequest:
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    pairs = [("host", parts.netloc), ("user-agent", "test"), ("accept-encoding", "identity")]
    for name, value in prepared.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        pairs.append((name.lower(), text.strip()))
    return HttpRequest(request.method, parts.path, parts.query, Headers(pairs), io.BytesIO(body))


def signed_at(request: HttpRequest) -> float:
    """When the request was signed, seconds since the epoch."""
    stamp = request.headers.get("x-amz-date")
    if stamp is None:
        stamp = request.query.split("X-Amz-Date=")[1][:16]
    return float(timegm(strptime(stamp, "%Y%m%dT%H%M%SZ")))


def check(
    request: HttpRequest, *, service: str = "s3", key: AccessKey | None = None, later: float = 0
) -> bytes:
    """What the service would read. Raises what the verifier raises."""
    keys = {KEY_ID: key or AccessKey()}
    key_id, verified = Verifier().authenticate(
        request, service=service, find=keys.get, now=signed_at(request) + later
    )
    assert key_id == KEY_ID
    return verified.body.read()


def refused(request: HttpRequest, **how: Any) -> tuple[str, int]:
    with pytest.raises(ClientFault) as caught:
        check(request, **how)
    shown = f"{caught.value.message} {caught.value.extra}"
    assert SECRET not in shown
    assert "AccessDeniedException" not in caught.value.code
    signature = request.headers.get("authorization", "").rpartition("Signature=")[2]
    assert not signature or signature not in shown
    return caught.value.code, caught.value.status


def with_headers(request: HttpRequest, **headers: str | None) -> HttpRequest:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = [(name, value) for name, value in request.headers.items() if name not in changed]
    added = [(name, value) for name, value in changed.items() if value is not None]
    return replace(request, headers=Headers([*kept, *added]))


def with_authorization(request: HttpRequest, change: Callable[[str], str]) -> HttpRequest:
    return with_headers(request, authorization=change(request.headers["authorization"]))


# --- what is sound is accepted


def test_the_example_of_the_published_description() -> None:
    signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    headers = Headers(
        [
            ("Host", "examplebucket.s3.amazonaws.com"),
            ("Range", "bytes=0-9"),
            ("x-amz-content-sha256", EMPTY),
            ("x-amz-date", "20130524T000000Z"),
            (
                "Authorization",
                f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20130524/us-east-1/s3/aws4_request,"
                f"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature={signature}",
            ),
        ]
    )
    assert check(HttpRequest("GET", "/test.txt", "", headers, io.BytesIO())) == b""


def test_the_presigned_example_of_the_published_description() -> None:
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY_ID}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    headers = Headers([("host", "examplebucket.s3.amazonaws.com")])
    assert check(HttpRequest("GET", "/test.txt", query, headers, io.BytesIO())) == b""


URL_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
QUERY_NAME = URL_TEXT.filter(lambda name: not name.startswith("X-Amz-"))
HEADER_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@given(
    path=URL_TEXT,
    query=st.lists(st.tuples(QUERY_NAME, URL_TEXT), max_size=4),
    meta=st.dictionaries(st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True), HEADER_TEXT, max_size=3),
    body=st.binary(max_size=100),
)
def test_s3_header(path: str, query: list[tuple[str, str]], meta: dict[str, str], body: bytes) -> None:
    text = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in query)
    url = f"{HOST}/bucket/{quote(path, safe='/-_.~')}?{text}"
    headers = {f"X-Amz-Meta-{name}": value for name, value in meta.items()}
    request = sign(S3SigV4Auth, url, method="PUT", headers=headers, body=body)
    assert check(request) == body


@given(path=URL_TEXT, query=st.dictionaries(QUERY_NAME, URL_TEXT, max_size=4))
def test_s3_presigned(path: str, query: dict[str, str]) -> None:
    text = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in query.items())
    request = sign(S3SigV4QueryAuth, f"{HOST}/bucket/{quote(path)}?{text}", token="abc/+=")
    assert check(request, key=AccessKey(session_token="abc/+=")) == b""


@given(
    path=st.text("ab/.%2f c~+é", max_size=12),
    body=st.binary(max_size=100),
    token=st.sampled_from([None, "t0k"]),
)
def test_json_header(path: str, body: bytes, token: str | None) -> None:
    url = f"{HOST}/{quote(path)}"
    request = sign(SigV4Auth, url, method="POST", headers=JSON, body=body, service="sagemaker", token=token)
    assert check(request, service="sagemaker", key=AccessKey(session_token=token)) == body


@pytest.mark.parametrize(
    "path", ["/bucket/a//b/../c%20d", "/bucket/./a", "//", "/bucket/%E4%B8%AD", "/b/a+b=c,d;e:f@g!$&'()*"]
)
def test_s3_paths_are_taken_as_sent(path: str) -> None:
    assert check(sign(S3SigV4Auth, HOST + path)) == b""


def test_a_client_that_encodes_less_than_it_signs() -> None:
    request = sign(S3SigV4Auth, f"{HOST}/bucket/a%2Bb%7Bc?prefix=x%2Fy&delimiter=%2F&uploads=")
    assert check(replace(request, path="/bucket/a+b{c", query="uploads&delimiter=/&prefix=x%2fy")) == b""
    assert refused(replace(request, query="uploads&delimiter=/&prefix=x+y"))[0] == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("service", "scope"),
    [
        ("sagemaker-runtime", "sagemaker"),
        ("sagemaker-metrics", "sagemaker"),
        ("cloudwatch", "monitoring"),
        ("logs", "logs"),
        ("query", "sts"),
        ("iam", "iam"),
        ("clary", "clary"),
    ],
)
def test_services_by_the_name_they_sign_with(service: str, scope: str) -> None:
    assert check(sign(SigV4Auth, service=scope, method="POST", body=b"x"), service=service) == b"x"


def test_header_values_are_folded() -> None:
    request = sign(S3SigV4Auth, headers={"X-Amz-Meta-A": "  one   two\t three "})
    assert check(with_headers(request, x_amz_meta_a="one two  three")) == b""
    assert refused(with_headers(request, x_amz_meta_a="onetwo three"))[0] == "SignatureDoesNotMatch"


def test_headers_that_are_not_signed_may_come_and_go() -> None:
    request = sign(S3SigV4Auth, method="PUT", headers={"Expect": "100-continue"}, body=b"x")
    assert check(with_headers(request, expect=None, user_agent="other", x_amzn_trace_id="Root=1")) == b"x"


def test_date_header_instead_of_x_amz_date() -> None:
    request = sign(S3SigV4Auth, headers={"Date": "Thu, 01 Jan 1970 00:00:00 GMT"})
    assert "x-amz-date" not in request.headers
    date = request.headers["date"]
    now = float(timegm(parsedate(date) or ()))
    keys = {KEY_ID: AccessKey()}
    key_id, _ = Verifier().authenticate(request, service="s3", find=keys.get, now=now)
    assert key_id == KEY_ID
    other = with_headers(request, date=formatdate(now + 1, usegmt=True))
    with pytest.raises(ClientFault, match="does not match"):
        Verifier().authenticate(other, service="s3", find=keys.get, now=now)


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -2300", "yesterday", ""])
def test_a_date_that_is_none_is_refused(date: str) -> None:
    request = sign(S3SigV4Auth, headers={"Date": "Thu, 01 Jan 1970 00:00:00 GMT"})
    with pytest.raises(ClientFault) as caught:
        Verifier().authenticate(
            with_headers(request, date=date), service="s3", find=lambda _: AccessKey(), now=0.0
        )
    assert (caught.value.code, caught.value.status) == ("AccessDenied", 403)


def test_presigned_by_other_services() -> None:
    request = sign(SigV4QueryAuth, f"{HOST}/?Action=GetCallerIdentity", service="sts", expires=60)
    assert check(request, service="sts") == b""
    assert refused(request, service="sts", later=61) == ("SignatureDoesNotMatch", 403)


def test_presigned_put_takes_any_body() -> None:
    request = sign(S3SigV4QueryAuth, f"{HOST}/bucket/key", method="PUT")
    request = with_headers(request, content_length="8")
    assert check(replace(request, body=io.BytesIO(b"anything"))) == b"anything"


def test_unsigned_payload_still_has_its_length() -> None:
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD", "Content-Length": "5"}
    request = sign(SigV4Auth, f"{HOST}/bucket/key", method="PUT", headers=headers)
    assert check(replace(request, body=io.BytesIO(b"hello"))) == b"hello"
    for body in (b"hell", b"hello!"):
        assert refused(replace(request, body=io.BytesIO(body))) == ("IncompleteBody", 400)


def test_the_cache_of_keys_is_bounded() -> None:
    verifier = Verifier()
    for number in range(CACHED_KEYS + 5):
        request = sign(S3SigV4Auth, secret=f"secret-{number}")
        find = {KEY_ID: AccessKey(secret=f"secret-{number}")}.get
        verifier.authenticate(request, service="s3", find=find, now=signed_at(request))
    assert len(verifier._keys) <= CACHED_KEYS


def test_a_key_whose_secret_changed_is_not_remembered() -> None:
    verifier = Verifier()
    request = sign(S3SigV4Auth)
    now = signed_at(request)
    verifier.authenticate(request, service="s3", find={KEY_ID: AccessKey()}.get, now=now)
    with pytest.raises(ClientFault, match="does not match"):
        verifier.authenticate(request, service="s3", find={KEY_ID: AccessKey(secret="new")}.get, now=now)


# --- what is not sound is refused, in the service's own words


def put() -> HttpRequest:
    url = f"{HOST}/bucket/key?partNumber=1&uploadId=u"
    return sign(
        S3SigV4Auth, url, method="PUT", headers={"X-Amz-Meta-A": "1", "Content-Type": "a/b"}, body=b"hello"
    )


@pytest.mark.parametrize(
    "tamper",
    [
        lambda r: replace(r, method="GET"),
        lambda r: replace(r, path="/bucket/other"),
        lambda r: replace(r, path="/bucket/KEY"),
        lambda r: replace(r, path="/bucket//key"),
        lambda r: replace(r, query=""),
        lambda r: replace(r, query=r.query + "&x="),
        lambda r: replace(r, query=r.query.replace("=1", "=2")),
        lambda r: with_headers(r, host="elsewhere"),
        lambda r: with_headers(r, x_amz_meta_a="2"),
        lambda r: with_headers(r, x_amz_meta_a=None),
        lambda r: with_headers(r, content_type="text/plain"),
        lambda r: with_headers(r, x_amz_content_sha256="UNSIGNED-PAYLOAD"),
        lambda r: with_headers(r, x_amz_content_sha256=EMPTY),
        lambda r: with_authorization(r, lambda a: a.replace("eu-west-1", "us-east-1")),
        lambda r: with_authorization(r, lambda a: a[:-1] + ("0" if a[-1] != "0" else "1")),
        lambda r: with_authorization(r, lambda a: a[:-64] + "é" * 64),
        lambda r: with_authorization(r, lambda a: a.replace("content-type;", "")),
    ],
)
def test_tampering(tamper: Callable[[HttpRequest], HttpRequest]) -> None:
    assert check(put()) == b"hello"
    assert refused(tamper(put())) == ("SignatureDoesNotMatch", 403)


def test_another_body() -> None:
    for body in (b"hellO", b"hello!", b"hell", b""):
        request = replace(put(), body=io.BytesIO(body))
        assert refused(request) in [("XAmzContentSHA256Mismatch", 400), ("IncompleteBody", 400)]
    headers = {**JSON, "Content-Length": "2"}
    request = sign(SigV4Auth, method="POST", headers=headers, body=b"{}", service="sagemaker")
    other = replace(request, body=io.BytesIO(b'{"a":1}'))
    assert refused(other, service="sagemaker") == ("InvalidSignatureException", 400)


def test_the_end_of_a_bad_body_is_never_seen() -> None:
    request = replace(put(), body=io.BytesIO(b"hellO"))
    _, verified = Verifier().authenticate(
        request, service="s3", find={KEY_ID: AccessKey()}.get, now=signed_at(request)
    )
    assert verified.body.read(100) == b"hellO"
    for _ in range(2):
        with pytest.raises(ClientFault):
            verified.body.read(100)


@pytest.mark.parametrize(
    ("service", "scope", "code", "status"),
    [
        ("s3", "s3", "RequestTimeTooSkewed", 403),
        ("sagemaker", "sagemaker", "InvalidSignatureException", 400),
        ("sagemaker-runtime", "sagemaker", "InvalidSignatureException", 403),
        ("sts", "sts", "SignatureDoesNotMatch", 403),
    ],
)
def test_stale_dates(service: str, scope: str, code: str, status: int) -> None:
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    for later in (901, -901):
        assert refused(sign(signer, service=scope), service=service, later=later) == (code, status)
    for later in (899, -899):
        assert check(sign(signer, service=scope), service=service, later=later) == b""


@pytest.mark.parametrize(
    ("service", "scope", "unknown", "wrong", "missing"),
    [
        ("s3", "s3", ("InvalidAccessKeyId", 403), ("SignatureDoesNotMatch", 403), ("AccessDenied", 403)),
        (
            "logs",
            "logs",
            ("UnrecognizedClientException", 400),
            ("InvalidSignatureException", 400),
            ("MissingAuthenticationTokenException", 400),
        ),
        (
            "iam",
            "iam",
            ("InvalidClientTokenId", 403),
            ("SignatureDoesNotMatch", 403),
            ("MissingAuthenticationToken", 403),
        ),
    ],
)
def test_keys(
    service: str, scope: str, unknown: tuple[str, int], wrong: tuple[str, int], missing: tuple[str, int]
) -> None:
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    request = sign(signer, service=scope)
    other_id = with_authorization(request, lambda a: a.replace(KEY_ID, "AKIANOBODY"))
    assert refused(other_id, service=service) == unknown
    assert refused(sign(signer, service=scope, secret="guessed"), service=service) == wrong
    assert refused(with_headers(request, authorization=None), service=service) == missing


def test_session_tokens() -> None:
    key = AccessKey(session_token="right", expires=1e12)
    assert check(sign(S3SigV4Auth, token="right"), key=key) == b""
    assert refused(sign(S3SigV4Auth, token="wrong"), key=key) == ("InvalidToken", 400)
    assert refused(sign(S3SigV4Auth, token="é"), key=key) == ("InvalidToken", 400)
    assert refused(sign(S3SigV4Auth), key=key) == ("InvalidAccessKeyId", 403)
    assert refused(sign(S3SigV4Auth, token="any")) == ("InvalidToken", 400)
    json = sign(SigV4Auth, token="wrong", service="logs")
    assert refused(json, service="logs", key=key) == ("UnrecognizedClientException", 400)


def test_expired_credentials() -> None:
    key = AccessKey(session_token="right", expires=1000.0)
    assert refused(sign(S3SigV4Auth, token="right"), key=key) == ("ExpiredToken", 400)
    json = sign(SigV4Auth, token="right", service="sagemaker")
    assert refused(json, service="sagemaker", key=key) == ("ExpiredTokenException", 400)
    query = sign(SigV4Auth, token="right", service="sts")
    assert refused(query, service="sts", key=key) == ("ExpiredToken", 403)


def test_headers_that_must_be_signed() -> None:
    assert refused(with_headers(put(), x_amz_acl="public-read")) == ("AccessDenied", 403)
    json = with_headers(sign(SigV4Auth, service="logs"), x_amz_target="Logs_20140328.DeleteLogGroup")
    assert refused(json, service="logs") == ("InvalidSignatureException", 400)
    no_host = with_authorization(put(), lambda a: a.replace("host;", ""))
    assert refused(no_host) == ("AccessDenied", 403)
    presigned = sign(S3SigV4QueryAuth, f"{HOST}/bucket/key", method="PUT")
    assert refused(with_headers(presigned, x_amz_meta_a="1")) == ("AccessDenied", 403)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda a: a.replace("Signature=", "Sig="), "AuthorizationHeaderMalformed"),
        (lambda a: a.replace("SignedHeaders=", "Headers="), "AuthorizationHeaderMalformed"),
        (lambda a: a.replace("/aws4_request", ""), "AuthorizationHeaderMalformed"),
        (lambda a: a.replace("/s3/", "/logs/"), "AuthorizationHeaderMalformed"),
        (lambda a: a.replace("/20", "/19", 1), "AuthorizationHeaderMalformed"),
        (lambda a: a.replace("host;", "Host ;"), "AuthorizationHeaderMalformed"),
        (lambda a: "AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
        (lambda a: "AWS AKID:c2lnbmF0dXJl", "InvalidRequest"),
        (lambda a: "Basic dXNlcjpwYXNz", "InvalidRequest"),
    ],
)
def test_malformed_header(change: Callable[[str], str], code: str) -> None:
    assert refused(with_authorization(put(), change)) == (code, 400)


def test_malformed_header_of_json_services() -> None:
    request = sign(SigV4Auth, service="sagemaker")
    broken = with_authorization(request, lambda a: a.replace("Signature=", "S="))
    assert refused(broken, service="sagemaker") == ("IncompleteSignatureException", 400)
    elsewhere = sign(SigV4Auth, service="logs")
    assert refused(elsewhere, service="sagemaker") == ("InvalidSignatureException", 400)


@pytest.mark.parametrize("stamp", ["", "yesterday", "20260131", "20269999T999999Z", "２０２６0131T000000Z"])
def test_dates_that_are_none(stamp: str) -> None:
    request = with_headers(put(), x_amz_date=stamp)
    with pytest.raises(ClientFault) as caught:
        Verifier().authenticate(request, service="s3", find={KEY_ID: AccessKey()}.get, now=0)
    assert caught.value.status in (400, 403)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("X-Amz-Expires=3600", "X-Amz-Expires=604801", "AuthorizationQueryParametersError"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=0", "AuthorizationQueryParametersError"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=-5", "AuthorizationQueryParametersError"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=soon", "AuthorizationQueryParametersError"),
        ("X-Amz-Expires=3600", "Y=1", "AuthorizationQueryParametersError"),
        ("X-Amz-SignedHeaders=host", "Y=1", "AuthorizationQueryParametersError"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=3601", "SignatureDoesNotMatch"),
        ("versionId=v", "versionId=w", "SignatureDoesNotMatch"),
        ("&X-Amz-Signature", "&x=&X-Amz-Signature", "SignatureDoesNotMatch"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4", "InvalidRequest"),
    ],
)
def test_tampered_urls(old: str, new: str, code: str) -> None:
    request = sign(S3SigV4QueryAuth, f"{HOST}/bucket/key?versionId=v")
    assert check(request) == b""
    assert old in request.query
    assert refused(replace(request, query=request.query.replace(old, new)))[0] == code


def test_urls_expire() -> None:
    request = sign(S3SigV4QueryAuth, f"{HOST}/bucket/key", expires=60)
    assert check(request, later=60) == b""
    assert refused(request, later=61) == ("AccessDenied", 403)
    assert refused(request, later=-901) == ("AccessDenied", 403)
    with pytest.raises(ClientFault, match="Request has expired"):
        check(request, later=61)


def test_two_signatures_are_one_too_many() -> None:
    presigned = sign(S3SigV4QueryAuth, f"{HOST}/bucket/key")
    both = with_headers(presigned, authorization=put().headers["authorization"])
    assert refused(both) == ("InvalidArgument", 400)


def test_s3_wants_to_know_the_payload() -> None:
    bare = sign(SigV4Auth, f"{HOST}/bucket/key")
    assert refused(bare) == ("InvalidRequest", 400)
    odd = sign(SigV4Auth, headers={"X-Amz-Content-SHA256": "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"})
    assert refused(odd) == ("InvalidArgument", 400)


STREAMING = {
    "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "X-Amz-Decoded-Content-Length": "5",
    "X-Amz-Trailer": "x-amz-checksum-crc32",
}
CHUNKS = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({}, None),
        ({"X-Amz-Decoded-Content-Length": ""}, ("InvalidArgument", 400)),
        ({"X-Amz-Decoded-Content-Length": "-1"}, ("InvalidArgument", 400)),
        ({"X-Amz-Decoded-Content-Length": "6"}, ("IncompleteBody", 400)),
        ({"X-Amz-Decoded-Content-Length": None}, ("MissingContentLength", 411)),
        ({"X-Amz-Trailer": None}, ("MalformedTrailerError", 400)),
        ({"X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, ("InvalidRequest", 400)),
        ({"X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"}, ("IncompleteBody", 400)),
    ],
)
def test_streaming(change: dict[str, str | None], answer: tuple[str, int] | None) -> None:
    headers = {name: value for name, value in {**STREAMING, **change}.items() if value is not None}
    request = sign(SigV4Auth, f"{HOST}/bucket/key", method="PUT", headers=headers, body=CHUNKS)
    if answer:
        assert refused(request) == answer
    else:
        assert check(request) == b"hello"


def test_documents_have_a_limit() -> None:
    request = sign(SigV4Auth, service="logs", method="POST")
    large = replace(request, body=io.BytesIO(bytes(16 * 1024 * 1024 + 1)))
    assert refused(large, service="logs") == ("RequestEntityTooLarge", 413)


@given(text=st.text(min_size=1, max_size=200))
def test_any_text_is_refused_cleanly(text: str) -> None:
    for request in (
        with_headers(put(), authorization=text),
        with_authorization(put(), lambda a: a.replace("=", f"={text}", 1)),
        replace(put(), query=f"X-Amz-Signature={text}"),
    ):
        with pytest.raises(ClientFault):
            check(request)
