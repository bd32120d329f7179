"""What scripts import from the original containers' toolkits, for environments that do not have those.

Only what is not installed is stood in for: `sagemaker_inference`, `sagemaker_huggingface_inference_toolkit` and
`sagemaker_containers.beta.framework`, as far as scripts use them: content types, encoder, decoder, errors, a response.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from clary.serving import content
from clary.serving.faults import RequestFault, UnsupportedType
from clary.serving.toolkits import array

OCTETS = "application/octet-stream"
TYPES = {
    "JSON": content.JSON,
    "CSV": content.CSV,
    "NPY": content.NPY,
    "JSONLINES": content.LINES,
    "OCTET_STREAM": OCTETS,
    "ANY": "*/*",
    "UTF8_TYPES": [content.JSON, content.CSV],
}


class ToolkitError(Exception):
    """An error with the status of its answer: `GenericInferenceToolkitError(status_code, message, phrase)`."""

    def __init__(self, status_code: int, message: str | None = None, phrase: str | None = None) -> None:
        self.status_code = int(status_code)
        self.message = message or phrase or "Invalid Request"
        self.phrase = phrase or message
        super().__init__(self.message)


class ToolkitResponse:
    """A script's answer: `worker.Response(response=body, status=200, mimetype=content_type)`."""

    def __init__(
        self, response: Any = None, status: int = 200, mimetype: str | None = None, **_: Any
    ) -> None:
        self.response, self.status_code = response, status
        self.mimetype = mimetype or content.JSON

    def get_data(self) -> Any:
        return self.response


def decode(body: Any, content_type: str = content.JSON) -> Any:
    """A body as a numpy array. Raises RequestFault."""
    return array(_bytes(body), content_type)


def encode(value: Any, content_type: str = content.JSON) -> str | bytes:
    """An array, or what is like one, as a body: text for JSON and CSV. Raises RequestFault."""
    kind = content.wanted(content_type)
    body = content.encoded(value, kind)
    return body if kind == content.NPY else body.decode()


def decode_document(body: Any, content_type: str = content.JSON) -> Any:
    """A body as a document with `inputs`. Raises RequestFault."""
    readable = (*content.TEXTS, *content.IMAGES, *content.SOUNDS)
    return content.decoded(_bytes(body), content_type, readable=readable)


def _bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


ERRORS = {
    "BaseInferenceToolkitError": ToolkitError,
    "GenericInferenceToolkitError": ToolkitError,
    "UnsupportedFormatError": UnsupportedType,
    "ClientError": RequestFault,
}


def install() -> None:
    """Puts those in place that are not installed."""
    for name, members in _modules().items():
        if _is_missing(name.partition(".")[0]):
            sys.modules[name] = _module(name, members)
    for name in _modules():
        parent, _, last = name.rpartition(".")
        if parent and isinstance(sys.modules.get(parent), _StandIn) and name in sys.modules:
            setattr(sys.modules[parent], last, sys.modules[name])


class _StandIn(ModuleType):
    """A module that is not the original one."""


def _is_missing(package: str) -> bool:
    known = sys.modules.get(package)
    return isinstance(known, _StandIn) or (known is None and find_spec(package) is None)


def _module(name: str, members: Mapping[str, Any]) -> ModuleType:
    made = _StandIn(name)
    made.__path__ = []
    made.__spec__ = ModuleSpec(name, None, is_package=True)
    for member, value in members.items():
        setattr(made, member, value)
    return made


def _modules() -> dict[str, Mapping[str, Any]]:
    """By name, parents first."""
    arrays = {"encode": encode, "decode": decode}
    documents = {"encode": encode, "decode": decode_document}
    modules: dict[str, Mapping[str, Any]] = {
        "sagemaker_inference": {},
        "sagemaker_inference.content_types": TYPES,
        "sagemaker_inference.encoder": arrays,
        "sagemaker_inference.decoder": arrays,
        "sagemaker_inference.errors": ERRORS,
        "sagemaker_huggingface_inference_toolkit": {},
        "sagemaker_huggingface_inference_toolkit.content_types": TYPES,
        "sagemaker_huggingface_inference_toolkit.decoder_encoder": documents,
        "sagemaker_containers": {},
        "sagemaker_containers.beta": {},
        "sagemaker_containers.beta.framework": {},
    }
    framework = "sagemaker_containers.beta.framework"
    parts: Mapping[str, Mapping[str, Any]] = {
        "content_types": TYPES,
        "encoders": arrays,
        "errors": ERRORS,
        "worker": {"Response": ToolkitResponse},
        "env": {},
        "modules": {},
        "transformer": {},
    }
    return modules | {f"{framework}.{name}": members for name, members in parts.items()}
