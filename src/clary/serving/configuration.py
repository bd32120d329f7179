"""What the model server is told by its environment. An empty variable counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = "SAGEMAKER_MODEL_SERVER_TIMEOUT"
QUEUE = "CLARY_QUEUE"
_MB = 1 << 20
_MOST_MB = 10_000


class BadVariable(Exception):
    """A variable of the model's Environment does not say what it should."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """timeout_s: for one answer, from the moment a worker has the request; also the longest wait in the queue.

    max_body: bytes. queue: requests of one model that may wait. models_loaded: of a multi-model server, at once.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    timeout_s: float = 60.0
    max_body: int = 100 * _MB
    queue: int = 1000
    model_dir: Path = Path("/opt/ml/model")
    multi_model: bool = False
    models_dir: Path = Path("/opt/ml/models")
    models_loaded: int = 8


def configuration(environment: Mapping[str, str]) -> Configuration:
    """Raises BadVariable."""
    default = Configuration()
    read = _Reader(environment)
    model_dir = Path(read.text("CLARY_MODEL_DIR", str(default.model_dir)))
    # a transform job whose objects are one stream each says 0: any length
    payload_mb = read.number("SAGEMAKER_MAX_PAYLOAD_IN_MB", default.max_body / _MB, least=0, most=_MOST_MB)
    return Configuration(
        host=read.text("SAGEMAKER_BIND_TO_HOST", default.host),
        port=int(read.number("SAGEMAKER_BIND_TO_PORT", default.port, least=0, most=65_535)),
        workers=int(
            read.number("SAGEMAKER_MODEL_SERVER_WORKERS", read.number("CLARY_CPUS", 1), most=1000, whole=True)
        ),
        timeout_s=read.number(TIMEOUT, default.timeout_s, least=0.001, most=86_400),
        max_body=int((payload_mb or _MOST_MB) * _MB),
        queue=int(read.number(QUEUE, default.queue, least=0, most=1_000_000, whole=True)),
        model_dir=model_dir,
        multi_model=read.text("SAGEMAKER_MULTI_MODEL", "false").lower() in ("true", "1", "yes"),
        models_dir=Path(read.text("CLARY_MODELS_DIR", str(model_dir.parent / "models"))),
        models_loaded=int(read.number("CLARY_MODELS_LOADED", default.models_loaded, most=10_000, whole=True)),
    )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str) -> str:
        return self._environment.get(name, "").strip() or default

    def number(
        self, name: str, default: float, *, least: float = 1, most: float = 1e9, whole: bool = False
    ) -> float:
        text = self.text(name, "")
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most or (whole and value != int(value)):
            kind = "a whole number" if whole else "a number"
            raise BadVariable(f"{name}={text!r}: {kind} from {least:g} to {most:g} is expected")
        return value
