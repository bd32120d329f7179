from clary.domain.names import Account

ACCOUNT = Account(id="123456789012", region="eu-west-1")


def test_arns_are_what_the_sdks_take_apart() -> None:
    assert ACCOUNT.role_arn == "arn:aws:iam::123456789012:role/ClaryExecutionRole"
    assert ACCOUNT.assumed_role_arn == "arn:aws:sts::123456789012:assumed-role/ClaryExecutionRole/clary"
    assert ACCOUNT.default_bucket == "sagemaker-eu-west-1-123456789012"


def test_the_name_in_an_arn_is_lower_case() -> None:
    arn = ACCOUNT.sagemaker("training-job", "My-Job")
    assert arn == "arn:aws:sagemaker:eu-west-1:123456789012:training-job/my-job"
