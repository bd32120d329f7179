"""The account's identity, and the ARNs and default names that derive from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """Whose server this is. `id` has 12 digits, `region` is an AWS region's name."""

    id: str
    region: str
    role_name: str = "ClaryExecutionRole"
    partition: str = "aws"

    @property
    def role_arn(self) -> str:
        return self.role(self.role_name)

    @property
    def assumed_role_arn(self) -> str:
        """What STS reports for the caller: the SDKs read the execution role's name out of it."""
        return f"arn:{self.partition}:sts::{self.id}:assumed-role/{self.role_name}/clary"

    @property
    def default_bucket(self) -> str:
        """The bucket the SageMaker SDKs make for themselves."""
        return f"sagemaker-{self.region}-{self.id}"

    def role(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self.id}:role/{name}"

    def sagemaker(self, kind: str, name: str) -> str:
        """The ARN of a resource. SageMaker lower-cases the name there (semantics: names and ARNs)."""
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.id}:{kind}/{name.lower()}"

    def log_group(self, name: str) -> str:
        return f"arn:{self.partition}:logs:{self.region}:{self.id}:log-group:{name}:*"

    def log_stream(self, group: str, name: str) -> str:
        return f"arn:{self.partition}:logs:{self.region}:{self.id}:log-group:{group}:log-stream:{name}"
