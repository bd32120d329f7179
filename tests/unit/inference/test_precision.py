import pytest

torch = pytest.importorskip("torch")

from clary.inference import precision  # noqa: E402
from clary.inference.linear import PackedDense, PlainDense, packing_works  # noqa: E402

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("avx", "amx", "best"), [(True, False, "bf16"), (False, True, "bf16"), (False, False, "fp32")]
)
def test_advice_follows_the_hardware(avx, amx, best, monkeypatch):
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
    assert precision.recommended(CPU) == best
    assert precision.advice("fp32", CPU) is None
    assert (precision.advice("auto", CPU) is not None) == (best == "bf16")
    assert (precision.advice("bf16", CPU) is not None) == (best == "fp32")


def test_auto_runs_exactly():
    assert precision.form("auto") == precision.form("fp32")
    with pytest.raises(ValueError, match="precision: fp32, bf16, int8, auto expected, not 'fp16'"):
        precision.form("fp16")


def test_packing_that_computes_something_else_is_not_used(monkeypatch):
    if not packing_works(torch.float32):
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(PackedDense, "plus", PlainDense.plus)
    assert packing_works(torch.float32)
    monkeypatch.setattr(PackedDense, "activated", lambda self, x: self(x))
    assert not packing_works(torch.float32)

    def missing(*_given):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(PackedDense, "__call__", missing)
    assert not packing_works(torch.float32)
