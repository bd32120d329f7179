"""Scripts that import the original containers' toolkits run where those are not installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from clary.serving import stand_ins
from clary.serving.faults import RequestFault


@pytest.fixture(autouse=True)
def installed():
    before = dict(sys.modules)
    stand_ins.install()
    yield
    for name in set(sys.modules) - set(before):
        if name.startswith(("sagemaker_inference", "sagemaker_huggingface", "sagemaker_containers")):
            del sys.modules[name]


def test_arrays():
    from sagemaker_inference import content_types, decoder, encoder

    assert decoder.decode("[[1, 2]]", content_types.JSON).tolist() == [[1, 2]]
    assert decoder.decode(b"1,2\n3,4\n", content_types.CSV).tolist() == [[1, 2], [3, 4]]
    body = encoder.encode(np.asarray([1.5]), content_types.NPY)
    assert decoder.decode(body, content_types.NPY).tolist() == [1.5]
    assert encoder.encode(np.asarray([[1, 2]]), content_types.JSON) == "[[1,2]]"
    assert encoder.encode([[1, 2]], "text/csv") == "1,2\r\n"
    with pytest.raises(RequestFault):
        decoder.decode("a", "video/mp4")


def test_documents():
    from sagemaker_huggingface_inference_toolkit import decoder_encoder

    assert decoder_encoder.decode('{"inputs": "a"}', "application/json") == {"inputs": "a"}
    assert decoder_encoder.decode("inputs\na\n", "text/csv") == {"inputs": ["a"]}
    assert decoder_encoder.encode({"a": np.float32(0.5)}, "application/json") == '{"a":0.5}'


def test_errors_have_a_status():
    from sagemaker_inference import errors

    with pytest.raises(errors.BaseInferenceToolkitError) as raised:
        raise errors.GenericInferenceToolkitError(429, "not so fast")
    assert raised.value.status_code == 429
    assert str(raised.value) == "not so fast"


def test_the_older_toolkit():
    from sagemaker_containers.beta.framework import content_types, encoders, env, worker  # noqa: F401

    response = worker.Response(encoders.encode([1], "application/json"), mimetype=content_types.JSON)
    assert (response.get_data(), response.mimetype) == ("[1]", "application/json")


def test_what_is_installed_stays(monkeypatch):
    import types

    own = types.ModuleType("sagemaker_inference")
    monkeypatch.setitem(sys.modules, "sagemaker_inference", own)
    stand_ins.install()
    assert sys.modules["sagemaker_inference"] is own
    assert not hasattr(own, "decoder")
