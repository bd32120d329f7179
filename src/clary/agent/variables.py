"""The SM_* variables of SageMaker's training toolkit, and the arguments it makes of hyperparameters."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.agent.contract import Plan
from clary.agent.places import Places
from clary.agent.stage import input_data_config, resource_config

_RESERVED = frozenset(
    {
        "sagemaker_program",
        "sagemaker_submit_directory",
        "sagemaker_enable_cloudwatch_metrics",
        "sagemaker_region",
        "sagemaker_container_log_level",
        "sagemaker_job_name",
        "sagemaker_s3_output",
        "default_user_module_name",
    }
)
_OBJECTIVE = "_tuning_objective_metric"
_DEFAULT_LOG_LEVEL = 20


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Decoded, and told apart: the user's own, the toolkit's settings, and what goes to the framework."""

    user: Mapping[str, Any]
    reserved: Mapping[str, Any]
    framework: Mapping[str, Any]


def split_hyperparameters(given: Mapping[str, str]) -> Hyperparameters:
    user: dict[str, Any] = {}
    reserved: dict[str, Any] = {}
    framework: dict[str, Any] = {}
    for name, text in given.items():
        if name in _RESERVED or name == _OBJECTIVE:
            reserved[name] = decode(text)
        elif name.startswith("sagemaker_"):
            framework[name] = decode(text)
        else:
            user[name] = decode(text)
    return Hyperparameters(user, reserved, framework)


def decode(text: str) -> Any:
    """The SDK sends JSON, other clients plain text: what is not JSON stays as it came."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def encode(value: Any) -> str:
    """As a variable: text raw, nothing as the empty text, all else as compact JSON with sorted keys."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def to_arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """`--name value` in the order of the names; `-n value` where a name is one letter."""
    arguments = []
    for name in sorted(hyperparameters):
        arguments += [f"-{name}" if len(name) == 1 else f"--{name}", _argument(hyperparameters[name])]
    return arguments


def _argument(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ",".join(f"{key}={entry}" for key, entry in sorted(value.items()))
    return str(value)


def toolkit_variables(
    plan: Plan, places: Places, hyperparameters: Hyperparameters, *, entry_point: str, module_dir: str
) -> dict[str, str]:
    """All SM_* variables, and the few others that the toolkit sets."""
    facts = _facts(plan, places, hyperparameters, entry_point, module_dir)
    paths = {channel.name: f"{places.seen_ml}/input/data/{channel.name}" for channel in plan.channels}
    named: dict[str, Any] = dict(facts)
    named["hps"] = hyperparameters.user
    named["channels"] = sorted(paths)
    named["framework_params"] = hyperparameters.framework
    named["user_args"] = to_arguments(hyperparameters.user)
    named["training_env"] = {
        **facts,
        "additional_framework_parameters": hyperparameters.framework,
        "channel_input_dirs": paths,
        "hyperparameters": hyperparameters.user,
        "is_master": plan.host == sorted(plan.hosts)[0],
        "master_hostname": sorted(plan.hosts)[0],
        "job_name": plan.job_name,
    }
    named |= {f"channel_{name}": path for name, path in paths.items()}
    named |= {f"hp_{name}": value for name, value in hyperparameters.user.items()}
    variables = {f"SM_{name.upper()}": encode(value) for name, value in named.items()}
    variables["SAGEMAKER_JOB_NAME"] = plan.job_name
    variables["SAGEMAKER_REGION"] = plan.access.region
    variables["CURRENT_HOST"] = plan.host
    return variables


def _facts(
    plan: Plan, places: Places, hyperparameters: Hyperparameters, entry_point: str, module_dir: str
) -> dict[str, Any]:
    resources = resource_config(plan)
    groups: Sequence[Mapping[str, Any]] = resources["instance_groups"]
    current = resources["current_group_name"]
    by_name = {group.get("instance_group_name", current): group for group in groups}
    ml = places.seen_ml
    return {
        "current_host": plan.host,
        "current_instance_type": plan.instance_type,
        "current_instance_group": current,
        "current_instance_group_hosts": by_name.get(current, {}).get("hosts", resources["hosts"]),
        "instance_groups": sorted(by_name),
        "instance_groups_dict": by_name,
        "distribution_instance_groups": [],
        "is_hetero": len(groups) > 1,
        "hosts": resources["hosts"],
        "network_interface_name": resources["network_interface_name"],
        "resource_config": resources,
        "input_data_config": input_data_config(plan),
        "user_entry_point": entry_point,
        "module_name": entry_point.removesuffix(".py"),
        "module_dir": module_dir,
        "framework_module": plan.environment.get("SAGEMAKER_TRAINING_MODULE"),
        "log_level": hyperparameters.reserved.get("sagemaker_container_log_level", _DEFAULT_LOG_LEVEL),
        "num_cpus": plan.cpus,
        "num_gpus": len(plan.gpus),
        "num_neurons": 0,
        "input_dir": f"{ml}/input",
        "input_config_dir": f"{ml}/input/config",
        "output_dir": f"{ml}/output",
        "output_data_dir": f"{ml}/output/data",
        "output_intermediate_dir": f"{ml}/output/intermediate",
        "model_dir": f"{ml}/model",
    }


def joined_path(*folders: str) -> str:
    return os.pathsep.join(folder for folder in folders if folder)
