"""What a user's function may take as its last argument: the model's place, the request, the response's headers."""

# ruff: noqa: ARG002 - the signatures are those that scripts were written for

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Context:
    """One for a loaded model; the request in it is the one being answered. Of one request only: every index is it.

    manifest: {}. system_properties: model_dir, gpu_id (None on the CPU), server_name.
    """

    def __init__(self, model_dir: str, gpu_id: int | None) -> None:
        self.manifest: dict[str, Any] = {}
        self.system_properties: dict[str, Any] = {
            "model_dir": model_dir,
            "gpu_id": gpu_id,
            "batch_size": 1,
            "server_name": "clary",
        }
        self.model_name = "model"
        self.request_processor = [self]  # code written for multi-model-server goes through it
        self.begin({})

    def begin(self, headers: Mapping[str, str]) -> None:
        """Another request. `headers` have lower-case names."""
        self._request = dict(headers)
        self._response: dict[str, str] = {}
        self._status: int | None = None

    @property
    def status(self) -> int | None:
        """What was set, if anything."""
        return self._status

    @property
    def response_headers(self) -> Mapping[str, str]:
        return self._response

    def get_request_header(self, idx: int, key: str) -> str | None:
        return self._request.get(key.lower())

    def get_all_request_header(self, idx: int = 0) -> dict[str, str]:
        return dict(self._request)

    def get_request_property(self, key: str) -> str | None:
        return self._request.get(key.lower())

    def get_request_properties(self) -> dict[str, str]:
        return dict(self._request)

    def get_request_id(self, idx: int = 0) -> str:
        return self._request.get("x-amzn-sagemaker-inference-id", "")

    def set_response_content_type(self, idx: int, value: str) -> None:
        self._response["Content-Type"] = value

    def get_response_content_type(self, idx: int = 0) -> str | None:
        return self._response.get("Content-Type")

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self._response[key] = str(value)

    def add_response_property(self, key: str, value: str) -> None:
        self._response[key] = str(value)

    def get_response_headers(self, idx: int = 0) -> dict[str, str]:
        return dict(self._response)

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self._status = int(code)

    def report_status(self, code: int, reason_phrase: str = "") -> None:
        self._status = int(code)

    def get_response_status(self, idx: int = 0) -> tuple[int, str]:
        return self._status or 200, ""
