from __future__ import annotations

from pathlib import Path

import pytest

from clary.serving.configuration import BadVariable, Configuration, configuration


def test_without_variables_the_defaults_hold() -> None:
    assert configuration({}) == Configuration()


def test_an_empty_variable_counts_as_absent() -> None:
    assert (
        configuration(dict.fromkeys(["SAGEMAKER_MODEL_SERVER_WORKERS", "CLARY_MODEL_DIR"], ""))
        == Configuration()
    )


def test_every_variable_is_read() -> None:
    told = configuration(
        {
            "SAGEMAKER_BIND_TO_HOST": "::1",
            "SAGEMAKER_BIND_TO_PORT": "1234",
            "SAGEMAKER_MODEL_SERVER_WORKERS": "3",
            "SAGEMAKER_MODEL_SERVER_TIMEOUT": "7.5",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": "2",
            "SAGEMAKER_MULTI_MODEL": "True",
            "CLARY_QUEUE": "0",
            "CLARY_MODEL_DIR": "/m",
            "CLARY_MODELS_DIR": "/ms",
            "CLARY_MODELS_LOADED": "4",
        }
    )
    assert told == Configuration(
        "::1", 1234, 3, 7.5, 2 << 20, 0, Path("/m"), multi_model=True, models_dir=Path("/ms"), models_loaded=4
    )


def test_many_models_lie_beside_the_one() -> None:
    assert configuration({"CLARY_MODEL_DIR": "/a/model"}).models_dir == Path("/a/models")


def test_workers_are_as_many_as_cpus_unless_told() -> None:
    assert configuration({"CLARY_CPUS": "4"}).workers == 4
    assert configuration({"CLARY_CPUS": "4", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}).workers == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SAGEMAKER_MODEL_SERVER_WORKERS", "0"),
        ("SAGEMAKER_MODEL_SERVER_WORKERS", "1.5"),
        ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "soon"),
        ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "nan"),
        ("SAGEMAKER_BIND_TO_PORT", "70000"),
        ("CLARY_QUEUE", "-1"),
    ],
)
def test_what_is_no_number_in_range_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(BadVariable, match=name):
        configuration({name: text})
