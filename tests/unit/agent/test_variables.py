from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clary.agent.contract import Channel
from clary.agent.places import Places
from clary.agent.variables import decode, encode, split_hyperparameters, to_arguments, toolkit_variables


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2), ('"m"', "m"), ("m", "m"), ("true", True), ("null", None), ("5e-05", 5e-05), ("", "")],
)
def test_values_are_json_or_stay_as_they_came(text: str, value: Any) -> None:
    assert decode(text) == value


def test_arguments_are_sorted_and_spelled_like_the_toolkits() -> None:
    given = {
        "z": 1,
        "lr": 0.01,
        "fp16": True,
        "m": None,
        "d": {"b": 1, "a": "x"},
        "name": "a b",
        "list": [1, "x"],
    }
    assert to_arguments(given) == [
        *("-d", "a=x,b=1"),
        *("--fp16", "True"),
        *("--list", "[1, 'x']"),
        *("--lr", "0.01"),
        *("-m", ""),
        *("--name", "a b"),
        *("-z", "1"),
    ]


def test_reserved_names_stay_off_the_command_line() -> None:
    split = split_hyperparameters(
        {"sagemaker_program": '"t.py"', "_tuning_objective_metric": "f1", "sagemaker_x": "1", "epochs": "2"}
    )
    assert split.user == {"epochs": 2}
    assert split.framework == {"sagemaker_x": 1}
    assert split.reserved == {"sagemaker_program": "t.py", "_tuning_objective_metric": "f1"}


def test_a_variable_is_raw_text_or_compact_sorted_json() -> None:
    assert [encode(value) for value in ("ä", None, {"b": 1, "a": [True]}, 2, False)] == [
        "ä",
        "",
        '{"a":[true],"b":1}',
        "2",
        "false",
    ]


def test_all_variables_of_the_toolkit_are_there(job: Any) -> None:
    plan = job.plan(
        channels=[Channel("train", "s3://b/x"), Channel("dev-set", "s3://b/y")],
        cpus=3,
        gpus=[0, 1],
        instance_type="ml.x",
    )
    hyperparameters = split_hyperparameters({"batch-size": "8", "sagemaker_container_log_level": "10"})
    found = toolkit_variables(
        plan,
        Places(Path("/f"), confined=True),
        hyperparameters,
        entry_point="train.py",
        module_dir="s3://b/code",
    )
    expected = {
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1",
        "SM_CURRENT_INSTANCE_TYPE": "ml.x",
        "SM_CURRENT_INSTANCE_GROUP": "homogeneousCluster",
        "SM_CURRENT_INSTANCE_GROUP_HOSTS": '["algo-1"]',
        "SM_INSTANCE_GROUPS": '["homogeneousCluster"]',
        "SM_DISTRIBUTION_INSTANCE_GROUPS": "[]",
        "SM_IS_HETERO": "false",
        "SM_NETWORK_INTERFACE_NAME": "eth0",
        "SM_HPS": '{"batch-size":8}',
        "SM_HP_BATCH-SIZE": "8",
        "SM_USER_ENTRY_POINT": "train.py",
        "SM_MODULE_NAME": "train",
        "SM_MODULE_DIR": "s3://b/code",
        "SM_FRAMEWORK_MODULE": "",
        "SM_FRAMEWORK_PARAMS": "{}",
        "SM_CHANNELS": '["dev-set","train"]',
        "SM_CHANNEL_TRAIN": "/opt/ml/input/data/train",
        "SM_CHANNEL_DEV-SET": "/opt/ml/input/data/dev-set",
        "SM_INPUT_DIR": "/opt/ml/input",
        "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config",
        "SM_OUTPUT_DIR": "/opt/ml/output",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
        "SM_OUTPUT_INTERMEDIATE_DIR": "/opt/ml/output/intermediate",
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_NUM_CPUS": "3",
        "SM_NUM_GPUS": "2",
        "SM_NUM_NEURONS": "0",
        "SM_LOG_LEVEL": "10",
        "SM_USER_ARGS": '["--batch-size","8"]',
        "SAGEMAKER_JOB_NAME": "job",
        "SAGEMAKER_REGION": "us-east-1",
        "CURRENT_HOST": "algo-1",
    }
    assert {name: found[name] for name in expected} == expected
    training = json.loads(found["SM_TRAINING_ENV"])
    assert training["channel_input_dirs"]["train"] == "/opt/ml/input/data/train"
    assert training["hyperparameters"] == {"batch-size": 8}
    assert set(found) - set(expected) == {
        "SM_RESOURCE_CONFIG",
        "SM_INPUT_DATA_CONFIG",
        "SM_INSTANCE_GROUPS_DICT",
        "SM_TRAINING_ENV",
    }
