"""The tree of faults that a client may be shown.

    Fault
    +-- ClientFault                     the caller can mend it (HTTP 4xx)
    |   +-- ValidationException
    |   +-- ResourceNotFound            sagemaker's own
    |   +-- ResourceNotFoundException   CloudWatch Logs' own
    |   +-- ResourceInUse
    |   +-- ResourceLimitExceeded
    |   +-- UnknownOperationException
    |   +-- AccessFault                 signatures and credentials
    |   +-- S3Fault                     each with S3's own code and status
    +-- InternalFailure                 ours (HTTP 500)

`code` is what a client matches on, `status` the HTTP status, and the class's docstring the default message.
Code that raises one passes a message that names the field and the fix.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc


class Fault(Exception):
    """The request could not be carried out."""

    code = "InternalFailure"
    status = 500

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        status: int | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        """`extra` holds further members of the error document (S3's `BucketName`, say)."""
        self.message = message or cleandoc(type(self).__doc__ or "")
        self.code = code or type(self).code
        self.status = status or type(self).status
        self.extra = dict(extra or {})
        super().__init__(self.message)


class InternalFailure(Fault):
    """The server met a fault of its own; its log says more."""


class ClientFault(Fault):
    """The request is not valid."""

    code = "ValidationException"
    status = 400


class ValidationException(ClientFault):
    """The request is not valid."""


class ResourceNotFound(ClientFault):
    """Requested resource not found."""

    code = "ResourceNotFound"


class ResourceNotFoundException(ClientFault):
    """The specified resource does not exist."""

    code = "ResourceNotFoundException"


class ResourceInUse(ClientFault):
    """The resource is in use."""

    code = "ResourceInUse"


class ResourceLimitExceeded(ClientFault):
    """A limit on resources was reached."""

    code = "ResourceLimitExceeded"


class UnknownOperationException(ClientFault):
    """This operation is not supported by Clary."""

    code = "UnknownOperationException"


class AccessFault(ClientFault):
    """The request's signature or credentials were refused."""

    code = "AccessDenied"
    status = 403


class S3Fault(ClientFault):
    """The S3 request was refused."""

    code = "InvalidRequest"
