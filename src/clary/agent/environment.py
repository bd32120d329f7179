"""The variables that every program of a job starts with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from clary.agent.contract import MARK, Plan, mark
from clary.agent.layer import Base
from clary.agent.places import Places

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED = (
    "HOME USER LOGNAME SHELL LANG LANGUAGE TZ LD_LIBRARY_PATH SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE "
    "HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy XDG_CACHE_HOME TOKENIZERS_PARALLELISM"
)
_PASSED_PREFIXES = ("LC_", "HF_", "TRANSFORMERS_", "NVIDIA_", "OMP_", "MKL_", "PIP_", "UV_")


def program_environment(
    plan: Plan, places: Places, base: Base, outside: Mapping[str, str], own: Mapping[str, str]
) -> dict[str, str]:
    """`outside` is the agent's own environment, of which only harmless names are passed on; `own` are those of the
    kind of work.

    The user's Environment comes last: as in SageMaker it wins over all of these, but for the mark. That of a model
    counts without its empty values: SDKs send those for what was not given, and they would hide the defaults.
    """
    passed = _PASSED.split()
    variables = {
        name: value for name, value in outside.items() if name in passed or name.startswith(_PASSED_PREFIXES)
    }
    variables.setdefault("LANG", "C.UTF-8")
    variables.setdefault("HOME", places.seen_tmp)
    variables |= {
        "PATH": os.pathsep.join([f"{places.seen_env}/bin", str(base.bin), _SYSTEM_PATH]),
        "VIRTUAL_ENV": places.seen_env,
        "TMPDIR": places.seen_tmp,
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "SAGEMAKER_METRICS_DIRECTORY": f"{places.seen_ml}/output/metrics/sagemaker",
    }
    variables.setdefault("OMP_NUM_THREADS", str(plan.cpus))
    # Threads that spin while they wait take the cores from whoever they wait for: on a busy machine training was
    # measured six times slower.
    variables.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if plan.gpus or has_gpus():
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, plan.gpus))
    variables |= _access(plan) | dict(own)
    given = {name: value for name, value in plan.environment.items() if value or plan.model is None}
    return variables | given | {MARK: mark(places.folder)}


def _access(plan: Plan) -> dict[str, str]:
    access = plan.access
    variables = {
        "AWS_ACCESS_KEY_ID": access.access_key_id,
        "AWS_SECRET_ACCESS_KEY": access.secret_access_key,
        "AWS_REGION": access.region,
        "AWS_DEFAULT_REGION": access.region,
        "AWS_ENDPOINT_URL": access.endpoint,
        "S3_ENDPOINT_URL": access.endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if access.session_token:
        variables["AWS_SESSION_TOKEN"] = access.session_token
    if access.ca_bundle:
        variables["AWS_CA_BUNDLE"] = access.ca_bundle
        variables["REQUESTS_CA_BUNDLE"] = access.ca_bundle
    return variables


def has_gpus() -> bool:
    return Path("/dev/nvidiactl").exists()
