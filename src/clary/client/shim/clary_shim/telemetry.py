"""Keep the sagemaker SDKs from reporting to AWS what runs here; the user's configuration files stay as they are."""

from __future__ import annotations

import functools
from typing import Any

from . import current

_SENDERS = ("_send_telemetry_request", "_send_telemetry")
_MESSAGE = "TELEMETRY_OPT_OUT_MESSAGING"


def patch(module: Any) -> None:
    """Silence the senders of a telemetry module; any other module is left as it is."""
    if "telemetry" not in module.__name__:
        return
    for name in _SENDERS:
        send = module.__dict__.get(name)
        if send is not None and not getattr(send, "clary", False):
            setattr(module, name, _unless_connected(send))
    if isinstance(module.__dict__.get(_MESSAGE), str):
        setattr(module, _MESSAGE, "Telemetry of the SageMaker Python SDK is off: this program runs on Clary.")


def _unless_connected(send: Any) -> Any:
    @functools.wraps(send)
    def send_unless_connected(*args: Any, **kwargs: Any) -> Any:
        return None if current() else send(*args, **kwargs)

    send_unless_connected.clary = True  # type: ignore[attr-defined]
    return send_unless_connected
