from clary.domain.scaling import resolve


def test_auto_is_logarithmic_over_two_orders_of_magnitude() -> None:
    assert resolve("Auto", 5e-6, 5e-4) == "Logarithmic"
    assert resolve("Auto", 1, 99) == "Linear"
    assert resolve("Auto", 0, 1e6) == "Linear"
    assert resolve("Linear", 1e-6, 1) == "Linear"
    assert resolve("ReverseLogarithmic", 0.1, 0.2) == "ReverseLogarithmic"
