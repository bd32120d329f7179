"""What lets an unmodified boto3 or sagemaker program talk to Clary. Standard library only, Python 3.8 and later.

Three things stand in the way of such a program, and each has a module here:

- the sagemaker SDK names AWS's STS host outright (`endpoints`),
- it sleeps for up to half a minute between two looks at a job (`clock`, told by `notices`),
- it reports its use to AWS (`telemetry`).

Nothing is changed on disk. Modules are patched just after they are imported (`hook`); a program that imports none
of them pays for one small finder. All patches ask `current()` each time, and step aside when there is no target.
"""

from __future__ import annotations

import os

_targets: list[Target] = []


class Target:
    """The server that this program talks to, and with whose name."""

    # not a NamedTuple: every program started under `clary run` would wait for `typing` to be imported
    __slots__ = ("access_key_id", "ca_bundle", "endpoint", "region", "secret_access_key")

    def __init__(
        self,
        endpoint: str,
        region: str,
        access_key_id: str,
        secret_access_key: str,
        ca_bundle: str | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.region = region
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self.ca_bundle = ca_bundle


def current() -> Target | None:
    """The target in force: the one installed last."""
    return _targets[-1] if _targets else None


def install(target: Target) -> None:
    """Point this process at a target, modules that are already imported included. Targets stack."""
    from . import hook

    _targets.append(target)
    hook.install()


def remove(target: Target) -> None:
    """Take a target back."""
    _targets.remove(target)


def install_from_environment() -> None:
    """Install the target that `clary run` left in the environment; nothing happens where it left none."""
    endpoint = os.environ.get("CLARY_ENDPOINT")
    if endpoint:
        install(
            Target(
                endpoint=endpoint,
                region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
                access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", ""),
                secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
                ca_bundle=os.environ.get("AWS_CA_BUNDLE") or None,
            )
        )
