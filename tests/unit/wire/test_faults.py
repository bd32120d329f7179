"""Faults as botocore reads them."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import AccessFault, Fault, InternalFailure, ResourceInUse, S3Fault, ValidationException
from clary.wire.faults import encode_fault, unknown_operation
from clary.wire.http import HttpResponse
from clary.wire.route import Route
from tests.unit.wire.botocore_peer import CASES, operation_of


def read_error(response: HttpResponse, found: Route, protocol: str) -> dict[str, Any]:
    assert isinstance(response.body, bytes)
    answer = {
        "headers": HeadersDict(response.headers),
        "status_code": response.status,
        "body": response.body,
        "context": {"operation_name": found.operation.name if found.operation else ""},
    }
    shape = found.operation.output_shape if found.operation else None
    parsed: dict[str, Any] = create_parser(protocol).parse(answer, shape)
    return parsed


def route_to(service: str, name: str, protocol: Any, **more: Any) -> Route:
    return Route(service, protocol, operation_of(service, name), name, **more)


@pytest.mark.parametrize(("service", "name", "protocol"), CASES)
@given(message=st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_botocore_reads_code_message_and_status(service: str, name: str, protocol: str, message: str) -> None:
    found = route_to(service, name, protocol)
    fault = S3Fault(message or "m", code="SomeCode", status=409)

    response = encode_fault(found, fault, request_id="r-1", resource="/b/k")

    parsed = read_error(response, found, protocol)
    assert response.status == 409
    assert parsed["Error"]["Code"] == "SomeCode"
    assert parsed["Error"]["Message"] == (message or "m")
    assert parsed["ResponseMetadata"]["RequestId"] == "r-1"


def test_a_modelled_error_fills_its_message_member() -> None:
    found = route_to("sagemaker", "CreateTrainingJob", "json")
    response = encode_fault(found, ResourceInUse("taken"), request_id="r")

    assert response.body == b'{"__type":"ResourceInUse","message":"taken","Message":"taken"}'
    assert ("x-amzn-ErrorType", "ResourceInUse") in response.headers


def test_a_modelled_error_has_its_further_members_in_their_type() -> None:
    found = route_to("sagemaker-runtime", "InvokeEndpoint", "rest-json")
    extra = {"OriginalStatusCode": "400", "OriginalMessage": "no"}
    response = encode_fault(found, Fault("m", code="ModelError", status=424, extra=extra), request_id="r")

    assert response.status == 424
    assert b'"OriginalStatusCode":400,"OriginalMessage":"no"' in response.body  # type: ignore[operator]


def test_query_services_call_a_validation_fault_their_own_name() -> None:
    found = route_to("iam", "GetRole", "query")
    response = encode_fault(found, ValidationException("m"), request_id="r")

    assert read_error(response, found, "query")["Error"] == {
        "Type": "Sender",
        "Code": "ValidationError",
        "Message": "m",
    }


@pytest.mark.parametrize("code", ["NoSuchEntity", "NoSuchEntityException"])
def test_query_services_have_the_code_of_the_model(code: str) -> None:
    found = route_to("iam", "GetRole", "query")
    response = encode_fault(found, ValidationException("m", code=code, status=404), request_id="r")

    assert read_error(response, found, "query")["Error"]["Code"] == "NoSuchEntity"


def test_json_in_query_mode_says_both_names() -> None:
    found = route_to("cloudwatch", "GetMetricStatistics", "json", query_mode=True)
    response = encode_fault(found, ValidationException("m", code="InvalidParameterValue"), request_id="r")

    assert ("x-amzn-query-error", "InvalidParameterValue;Sender") in response.headers
    assert b'"__type":"InvalidParameterValueException"' in response.body  # type: ignore[operator]


def test_an_s3_error_document() -> None:
    fault = S3Fault("No such bucket.", code="NoSuchBucket", status=404, extra={"BucketName": "a&b"})
    response = encode_fault("rest-xml", fault, request_id="r-1", resource="/a&b/\x01")

    assert response.body == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchBucket</Code><Message>No such bucket.</Message>'
        b"<BucketName>a&amp;b</BucketName><Resource>/a&amp;b/\xef\xbf\xbd</Resource><RequestId>r-1</RequestId></Error>"
    )
    assert ("x-amz-request-id", "r-1") in response.headers


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (InternalFailure("m"), "InternalError", 500),
        (AccessFault("m"), "AccessDenied", 403),
        (ValidationException("m"), "InvalidRequest", 400),
    ],
)
def test_common_faults_have_their_s3_names(fault: Fault, code: str, status: int) -> None:
    response = encode_fault("rest-xml", fault, request_id="r")

    assert isinstance(response.body, bytes)
    assert (ElementTree.fromstring(response.body).findtext("Code"), response.status) == (code, status)


@pytest.mark.parametrize(("head", "status"), [(True, 404), (False, 304)])
def test_some_answers_have_no_body(head: bool, status: int) -> None:
    response = encode_fault("rest-xml", S3Fault("m", status=status), request_id="r", head=head)

    assert (response.status, response.body) == (status, b"")
    assert not {name.lower() for name, _ in response.headers} & {"content-length", "content-type"}


def test_an_operation_that_nobody_wrote() -> None:
    fault = unknown_operation(route_to("sagemaker", "CreateApp", "json"))

    assert (fault.code, fault.status) == ("UnknownOperationException", 400)
    assert "sagemaker:CreateApp" in fault.message


def test_a_query_operation_that_nobody_wrote() -> None:
    found = Route("iam", "query", action="MakeCoffee")
    response = encode_fault(found, unknown_operation(found), request_id="r")

    assert read_error(response, found, "query")["Error"]["Code"] == "InvalidAction"
