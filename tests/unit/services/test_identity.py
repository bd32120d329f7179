"""The account's principal and its roles, over a real store."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from clary.errors import AccessFault, ClientFault
from clary.services import identity
from clary.services.operations import OPERATIONS, Context
from clary.wire.http import Headers, HttpRequest
from clary.wire.sigv4 import Verifier

ROLE = "arn:aws:iam::123456789012:role/Trainer"
NOW = 1_700_000_000.0


class Digits:
    """Different hex digits each time, the same in every test."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, count: int) -> str:
        self.drawn += 1
        return f"{self.drawn:0{count}x}"


@pytest.fixture
def now() -> Callable[[], float]:
    return lambda: NOW


@pytest.fixture
def new_id() -> Callable[[int], str]:
    return Digits()


def test_the_caller_is_an_assumed_role(context: Context) -> None:
    answer = identity.get_caller_identity(context, {})
    assert isinstance(answer, dict)
    assert answer["Account"] == "123456789012"
    assert answer["Arn"] == "arn:aws:sts::123456789012:assumed-role/ClaryExecutionRole/clary"
    assert re.fullmatch(r"AROA[A-Z2-7]{17}:clary", answer["UserId"])
    # what the SDK makes of it
    role = re.sub(r"^(.+)sts::(\d+):assumed-role/(.+?)/.*$", r"\1iam::\2:role/\3", answer["Arn"])
    assert role == context.account.role_arn


def test_a_jobs_own_key_is_the_account_too(context: Context) -> None:
    job = replace(context.caller, scope="arn:aws:sagemaker:us-east-1:123456789012:training-job/x")
    answer = identity.get_caller_identity(replace(context, caller=job), {})
    assert answer == identity.get_caller_identity(context, {})


def test_an_assumed_role_has_a_key_that_works(context: Context) -> None:
    answer: Any = identity.assume_role(context, {"RoleArn": ROLE, "RoleSessionName": "me"})
    made = answer["Credentials"]
    assert re.fullmatch(r"ASIA[A-Z2-7]{16}", made["AccessKeyId"])
    assert made["Expiration"] == NOW + 3600
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/Trainer/me"
    stored = context.store.credential(made["AccessKeyId"])
    assert stored is not None
    caller: Any = identity.get_caller_identity(replace(context, caller=stored), {})
    assert caller["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert caller["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
    request = signed(made)
    verify(context, request, at=float(request.headers["x-now"]))


def signed(made: dict[str, Any]) -> HttpRequest:
    credentials = Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    request = AWSRequest("POST", "http://localhost/", data=b"")
    SigV4Auth(credentials, "sts", "us-east-1").add_auth(request)
    pairs = [("host", "localhost"), *request.headers.items(), ("x-now", str(NOW))]
    return HttpRequest("POST", "/", "", Headers(pairs), io.BytesIO())


def verify(context: Context, request: HttpRequest, *, at: float) -> str:
    # the signature is of this moment, the key's expiry of the test's clock
    skew_s = 10 * 365 * 86400.0
    verifier = Verifier()
    return verifier.authenticate(
        request, service="sts", find=context.store.credential, now=at, max_skew_s=skew_s
    )[0]


def test_temporary_keys_expire(context: Context) -> None:
    answer: Any = identity.assume_role(
        context, {"RoleArn": ROLE, "RoleSessionName": "me", "DurationSeconds": 900}
    )
    request = signed(answer["Credentials"])
    assert verify(context, request, at=NOW + 899) == answer["Credentials"]["AccessKeyId"]
    with pytest.raises(ClientFault) as caught:
        verify(context, request, at=NOW + 900)
    assert caught.value.code == "ExpiredToken"


def test_keys_differ(context: Context) -> None:
    made = [identity.get_session_token(context, {}) for _ in range(2)]
    assert all(isinstance(one, dict) and len(one["Credentials"]["SessionToken"]) > 100 for one in made)
    for member in ("AccessKeyId", "SecretAccessKey", "SessionToken"):
        assert len({one["Credentials"][member] for one in made}) == 2  # type: ignore[index]


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::123456789012:user/somebody",
        "arn:aws:iam::12:role/Trainer",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role/Trainer\n",
        "Trainer-and-twenty-letters",
    ],
)
def test_what_is_no_role_is_not_assumed(context: Context, arn: str) -> None:
    with pytest.raises(ClientFault, match="RoleArn") as caught:
        identity.assume_role(context, {"RoleArn": arn, "RoleSessionName": "me"})
    assert (caught.value.code, caught.value.status) == ("ValidationError", 400)


@pytest.mark.parametrize(
    "arn", ["arn:aws:iam::210987654321:role/a/b/Trainer", "arn:aws-cn:iam::123456789012:role/Trainer"]
)
def test_roles_of_other_accounts_become_this_ones(context: Context, arn: str) -> None:
    answer: Any = identity.assume_role(context, {"RoleArn": arn, "RoleSessionName": "me"})
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/Trainer/me"


def test_session_tokens(context: Context) -> None:
    answer: Any = identity.get_session_token(context, {"DurationSeconds": 900})
    stored = context.store.credential(answer["Credentials"]["AccessKeyId"])
    assert stored is not None
    assert (stored.expires, stored.session_token) == (NOW + 900, answer["Credentials"]["SessionToken"])
    temporary = replace(context, caller=stored)
    assert identity.get_caller_identity(temporary, {}) == identity.get_caller_identity(context, {})
    with pytest.raises(AccessFault, match="session credentials"):
        identity.get_session_token(temporary, {})


def test_any_role_trusts_sagemaker_and_never_changes(context: Context) -> None:
    first: Any = identity.get_role(context, {"RoleName": "Anything"})
    again: Any = identity.get_role(replace(context, now=lambda: NOW + 99), {"RoleName": "Anything"})
    assert first == again
    role = first["Role"]
    assert role["Arn"] == "arn:aws:iam::123456789012:role/Anything"
    assert role["CreateDate"] == NOW
    [statement] = json.loads(unquote(role["AssumeRolePolicyDocument"]))["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
    other: Any = identity.get_role(context, {"RoleName": "Other"})
    assert other["Role"]["RoleId"] != role["RoleId"]


def test_the_accounts_role_is_listed(context: Context) -> None:
    answer: Any = identity.list_roles(context, {})
    assert [role["RoleName"] for role in answer["Roles"]] == ["ClaryExecutionRole"]
    assert answer["IsTruncated"] is False
    none: Any = identity.list_roles(context, {"PathPrefix": "/service-role/"})
    assert none["Roles"] == []


def pages(
    operation: Callable[[Context, dict[str, Any]], Any], context: Context, asked: dict[str, Any]
) -> list[Any]:
    found, marker = [], {}
    while True:
        answer = operation(context, {**asked, **marker})
        found.append(answer)
        if not answer["IsTruncated"]:
            assert "Marker" not in answer
            return found
        marker = {"Marker": answer["Marker"]}


def test_everything_is_allowed_page_by_page(context: Context) -> None:
    actions = [f"s3:Do{number}" for number in range(11)]
    asked = {"PolicySourceArn": ROLE, "ActionNames": actions}
    found = pages(identity.simulate_principal_policy, context, {**asked, "MaxItems": 4})
    assert [len(page["EvaluationResults"]) for page in found] == [4, 4, 3]
    results = [result for page in found for result in page["EvaluationResults"]]
    assert [result["EvalActionName"] for result in results] == actions
    assert {result["EvalDecision"] for result in results} == {"allowed"}
    [whole] = pages(identity.simulate_principal_policy, context, {**asked, "ResourceArns": ["a", "b"]})
    assert len(whole["EvaluationResults"]) == 22


@pytest.mark.parametrize("marker", ["x", "-1", "12", "9" * 30, "²"])
def test_a_marker_from_nowhere(context: Context, marker: str) -> None:
    with pytest.raises(ClientFault, match="Marker"):
        identity.simulate_principal_policy(context, {"ActionNames": ["a:b"], "Marker": marker})


def test_offered() -> None:
    sts = {"GetCallerIdentity", "AssumeRole", "GetSessionToken"}
    iam = {"GetRole", "ListRoles", "SimulatePrincipalPolicy"}
    assert {("sts", name) for name in sts} | {("iam", name) for name in iam} <= OPERATIONS.keys()


def test_what_a_job_asks_for_ends_with_the_job(context: Context) -> None:
    job = "arn:aws:sagemaker:us-east-1:123456789012:training-job/a"
    inside = replace(context, caller=replace(context.caller, scope=job))
    first: Any = identity.assume_role(inside, {"RoleArn": ROLE, "RoleSessionName": "me"})
    key = context.store.credential(first["Credentials"]["AccessKeyId"])
    assert key is not None
    again: Any = identity.assume_role(
        replace(context, caller=key), {"RoleArn": ROLE, "RoleSessionName": "me"}
    )
    context.store.drop_credentials(job)
    for answer in (first, again):
        assert context.store.credential(answer["Credentials"]["AccessKeyId"]) is None
