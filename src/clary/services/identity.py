"""Who the caller is (sts), and the roles the SDKs ask for (iam).

An account has one principal, which may do everything. Roles exist by being named: any of them may be assumed, passed
and asked for, so that programs written for another account run as they are.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from clary.domain.names import Account
from clary.errors import AccessFault, ClientFault
from clary.services.operations import Context, operation
from clary.store.base import Credential

DEFAULT_ROLE_S = 3600
DEFAULT_SESSION_S = 12 * 3600
LONGEST_ROLE_S = 12 * 3600
PAGE = 100

_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/(?:[!-~]+/)?([\w+=,.@-]{1,64})", re.ASCII)
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}

Parameters = Mapping[str, Any]


@operation("sts", "GetCallerIdentity")
def get_caller_identity(context: Context, _parameters: Parameters) -> Parameters:
    """Whose key this is: the account's one role, or the role that was assumed."""
    arn = context.account.assumed_role_arn
    if context.caller.scope and ":assumed-role/" in context.caller.scope:
        arn = context.caller.scope
    role, session = arn.split("/")[-2:]
    user_id = f"{_role_id(context.account, role)}:{session}"
    return {"UserId": user_id, "Account": context.account.id, "Arn": arn}


@operation("sts", "AssumeRole")
def assume_role(context: Context, parameters: Parameters) -> Parameters:
    """Temporary keys, of any role.

    Raises ClientFault ValidationError (400) for what is no role's ARN.
    """
    found = _ROLE_ARN.fullmatch(parameters["RoleArn"])
    if not found:
        raise ClientFault(
            f"RoleArn {parameters['RoleArn']} is invalid: it must look like {context.account.role_arn}.",
            code="ValidationError",
        )
    account, role, session = context.account, found[1], parameters["RoleSessionName"]
    arn = f"arn:{account.partition}:sts::{account.id}:assumed-role/{role}/{session}"
    # what a job's program asks for ends with the job, as the key it asks with
    scope = arn if _is_at_large(context.caller) else context.caller.scope
    credentials = _mint(context, parameters.get("DurationSeconds", DEFAULT_ROLE_S), scope=scope)
    user = {"AssumedRoleId": f"{_role_id(account, role)}:{session}", "Arn": arn}
    return {"Credentials": credentials, "AssumedRoleUser": user}


@operation("sts", "GetSessionToken")
def get_session_token(context: Context, parameters: Parameters) -> Parameters:
    """Temporary keys of the account.

    Raises AccessFault (403) for a caller whose credentials are temporary themselves.
    """
    if context.caller.session_token is not None:
        raise AccessFault("Cannot call GetSessionToken with session credentials.")
    return {"Credentials": _mint(context, parameters.get("DurationSeconds", DEFAULT_SESSION_S), scope=None)}


@operation("iam", "GetRole")
def get_role(context: Context, parameters: Parameters) -> Parameters:
    """Any role there can be: each exists by being asked for."""
    return {"Role": _role(context, parameters["RoleName"])}


@operation("iam", "ListRoles")
def list_roles(context: Context, parameters: Parameters) -> Parameters:
    """The account's own role."""
    roles = [_role(context, context.account.role_name)]
    return _page(
        "Roles",
        [role for role in roles if role["Path"].startswith(parameters.get("PathPrefix", "/"))],
        parameters,
    )


@operation("iam", "SimulatePrincipalPolicy")
def simulate_principal_policy(_context: Context, parameters: Parameters) -> Parameters:
    """One result for each action and resource: everything is allowed."""
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": "allowed",
            "MatchedStatements": [],
            "MissingContextValues": [],
        }
        for action in parameters["ActionNames"]
        for resource in parameters.get("ResourceArns") or ["*"]
    ]
    return _page("EvaluationResults", results, parameters)


def _is_at_large(caller: Credential) -> bool:
    """Whether it is the account's own, or a role's: no job's."""
    return caller.scope is None or ":assumed-role/" in caller.scope


def _mint(context: Context, duration_s: int, *, scope: str | None) -> Parameters:
    credential = Credential(
        access_key_id=f"ASIA{_base32(bytes.fromhex(context.new_id(20)))}",
        secret=context.new_id(40),
        session_token=base64.b64encode(bytes.fromhex(context.new_id(192))).decode(),
        scope=scope,
        expires=context.now() + duration_s,
    )
    context.store.put_credential(credential)
    return {
        "AccessKeyId": credential.access_key_id,
        "SecretAccessKey": credential.secret,
        "SessionToken": credential.session_token,
        "Expiration": credential.expires,
    }


def _role(context: Context, name: str) -> dict[str, Any]:
    first_asked = context.store.put_once("roles", {"created": context.now()})
    return {
        "Path": "/",
        "RoleName": name,
        "RoleId": _role_id(context.account, name),
        "Arn": context.account.role(name),
        "CreateDate": first_asked["created"],
        "AssumeRolePolicyDocument": quote(json.dumps(_TRUST), safe=""),
        "MaxSessionDuration": LONGEST_ROLE_S,
    }


def _role_id(account: Account, name: str) -> str:
    """The same for the same role, ever."""
    return f"AROA{_base32(sha256(account.role(name).encode()).digest())[:17]}"


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")


def _page(member: str, items: Sequence[Parameters], parameters: Parameters) -> Parameters:
    """IAM's paging: a marker is the number of items already given out."""
    marker = parameters.get("Marker") or "0"
    if not (marker.isascii() and marker.isdigit() and int(marker[:9]) <= len(items)):
        raise ClientFault("Marker must be the one that the page before ended with.", code="ValidationError")
    start = int(marker[:9])
    end = start + parameters.get("MaxItems", PAGE)
    page: dict[str, Any] = {member: list(items[start:end]), "IsTruncated": end < len(items)}
    if page["IsTruncated"]:
        page["Marker"] = str(end)
    return page
