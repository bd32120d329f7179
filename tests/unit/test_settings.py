from pathlib import Path

import pytest

from clary.settings import Settings, read_settings


def test_defaults_hold_without_anything() -> None:
    settings = read_settings({})
    assert settings.port == 7370
    assert settings.home == Path("~/.clary").expanduser()


def test_an_option_wins_over_a_variable_and_a_variable_over_the_default(tmp_path: Path) -> None:
    environment = {"CLARY_PORT": "1", "CLARY_REGION": "eu-west-1", "CLARY_TLS": "yes"}
    settings = read_settings(environment, port=2, region=None, home=tmp_path)
    assert (settings.port, settings.region, settings.tls, settings.home) == (2, "eu-west-1", True, tmp_path)


@pytest.mark.parametrize(
    "environment",
    [
        {"CLARY_PORT": "many"},
        {"CLARY_TLS": "perhaps"},
        {"CLARY_ISOLATION": "prison"},
        {"CLARY_POLL_S": "soon"},
        {"CLARY_POLL_S": "0"},
        {"CLARY_LEASE_S": "nan"},
        {"CLARY_STOP_GRACE_S": "-1"},
        {"CLARY_PORT": "65536"},
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_names_its_variable(environment: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(environment))):
        read_settings(environment)


def test_the_database_is_sqlite_in_the_home_unless_told(tmp_path: Path) -> None:
    assert Settings(home=tmp_path).url == f"sqlite:///{tmp_path}/clary.db"
    assert Settings(home=tmp_path, database_url="postgresql://x/y").url == "postgresql://x/y"
