import sys

from clary.runners.environments import OneEnvironment


def test_every_image_runs_in_the_one_environment() -> None:
    environments = OneEnvironment(sys.executable)
    for uri in (
        "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-training:2.0",
        "unheard-of",
        "",
    ):
        assert environments.python(uri) == sys.executable
        assert environments.serve(uri) == ()
