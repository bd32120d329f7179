"""Every refusal, in every service's words."""

from __future__ import annotations

from typing import get_args

import pytest

from clary.wire.refusals import Reason, refusal

SERVICES = ["s3", "sagemaker", "sagemaker-runtime", "logs", "cloudwatch", "clary", "sts", "iam", "query"]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("reason", get_args(Reason))
def test_each_has_a_code_a_status_and_words(service: str, reason: Reason) -> None:
    fault = refusal(service, reason, "words" if reason.startswith(("malformed", "too large")) else None)
    assert fault.code != "AccessDeniedException"  # the SageMaker SDK retries that one for minutes
    assert fault.status in (400, 403, 413)
    assert fault.message


def test_only_s3_has_further_members() -> None:
    assert refusal("s3", "unknown key", extra={"AWSAccessKeyId": "A"}).extra == {"AWSAccessKeyId": "A"}
    assert refusal("logs", "unknown key", extra={"AWSAccessKeyId": "A"}).extra == {}
