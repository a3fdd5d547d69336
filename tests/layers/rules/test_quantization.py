"""Numbers of few bits: each format against formulas of its own, at its ends and between."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.caffe.messages import LayerParameter
from vggrepro.emit import GraphBuilder
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.rules.quantization import (
    FixedPoint,
    MiniFloat,
    NumberFormat,
    PowerOfTwo,
    Quantization,
)


def graph(number: NumberFormat, x: np.ndarray, shares: np.ndarray | None = None) -> np.ndarray:
    g = GraphBuilder()
    y = number.emit(g, "x", None if shares is None else "shares")
    fed = {"x": x} if shares is None else {"x": x, "shares": shares}
    return run_nodes(g, fed, [y])[0]


def both(number: NumberFormat, values: Any, shares: Any = None) -> np.ndarray:
    """The graph's answer, which is the reference's."""
    x = np.asarray(values, np.float32)
    u = None if shares is None else np.asarray(shares, np.float32)
    y = graph(number, x, u)
    wanted = number.reference(x.astype(np.float64), None if u is None else u.astype(np.float64))
    np.testing.assert_array_equal(y, wanted.astype(np.float32))
    return y


def test_fixed_point() -> None:
    number = FixedPoint(4, 1)  # -4, -3.5, ..., 3.5
    assert both(number, [0.25, 0.75, -0.25, -0.75, 0.3, 9, -9]).tolist() == [0, 1, 0, -1, 0.5, 3.5, -4]
    assert both(number, [0.3, 0.3, -0.3, 3.5], [0.39, 0.41, 0.59, 0.99]).tolist() == [0, 0.5, -0.5, 3.5]
    assert both(FixedPoint(8, -2), [5, 6, 7, 600]).tolist() == [4, 8, 8, 508]
    x = np.random.default_rng(0).normal(size=1000) * 3
    np.testing.assert_allclose(both(FixedPoint(32, 16), x), x, atol=2**-17, rtol=1e-7)


def by_decimal(x: float, mantissa: int, exponent: int) -> float:
    """The nearest number of a minifloat's own list."""
    bias = 2 ** (exponent - 1) - 1
    if abs(x) < 2.0**-bias:
        return 0.0
    numbers = [
        (1 + m / 2**mantissa) * 2.0 ** (e - bias) for e in range(2**exponent) for m in range(2**mantissa)
    ]
    return float(np.sign(x)) * min(numbers, key=lambda n: abs(n - abs(x)))


def test_minifloat() -> None:
    number = MiniFloat(2, 3)  # bias 3: 0.125 ... 28
    x = np.random.default_rng(0).uniform(-30, 30, 300) * np.tile([1, 0.1, 0.01], 100)
    assert both(number, x).tolist() == [by_decimal(v, 2, 3) for v in x.astype(np.float32).tolist()]
    assert both(number, [0, -0.0, 28, 29, 1e9, -1e9, 0.125, 0.124]).tolist() == [
        *(0, 0, 28, 28, 28, -28, 0.125, 0)
    ]
    assert both(number, [1.125, 1.375, 1.9]).tolist() == [1, 1.5, 2]  # the even one; the next power
    assert both(number, [1.1, 1.1, -1.1], [0.5, 0.7, 0.7]).tolist() == [1, 1.25, -1.25]
    powers = np.float32(2.0) ** np.arange(-126, 128)
    for near in (powers, np.nextafter(powers, np.float32(0)), np.nextafter(powers, np.float32(np.inf))):
        both(MiniFloat(10, 8), near)
    exact = np.random.default_rng(1).normal(size=100).astype(np.float32)
    assert both(MiniFloat(23, 8), exact).tolist() == exact.tolist()


def test_powers_of_two() -> None:
    number = PowerOfTwo(-4, -1)
    assert both(number, [0.3, -0.3, 0.36, 5, 0, -0.0, 1e-9, -1e-9]).tolist() == [
        *(0.25, -0.25, 0.5, 0.5, 0.0625, 0.0625, 0.0625, -0.0625)
    ]
    assert both(number, [0.3, 0.3, 0.06], [0.7, 0.8, 0.01]).tolist() == [0.25, 0.5, 0.0625]


def param(text: str) -> Any:
    from google.protobuf import text_format

    return text_format.Parse(f"quantization_param {{ {text} }}", LayerParameter()).quantization_param


def test_what_is_rounded() -> None:
    p = param("bw_layer_in: 8 fl_layer_in: 1 bw_layer_out: 7 fl_layer_out: 2 bw_params: 6 fl_params: 3")
    few = FixedPoint(6, 3)
    assert Quantization.from_param(p, train=False) == Quantization(
        FixedPoint(8, 1), FixedPoint(7, 2), few, few
    )
    assert Quantization.from_param(p, train=True) == Quantization(None, None, few, few)
    p = param("precision: MINIFLOAT mant_bits: 3 exp_bits: 4 rounding_scheme: STOCHASTIC")
    mini = MiniFloat(3, 4)
    assert Quantization.from_param(p, train=True) == Quantization(None, None, mini, mini)
    p = param("precision: INTEGER_POWER_OF_2_WEIGHTS exp_min: -5 bw_layer_in: 8 fl_layer_in: 1")
    ends = (FixedPoint(8, 1), FixedPoint(32, 16))
    assert Quantization.from_param(p, train=False) == Quantization(*ends, PowerOfTwo(-5, -1))


def test_quantization_refuses() -> None:
    with pytest.raises(UnsupportedError, match="STOCHASTIC is for TRAIN alone"):
        Quantization.from_param(param("rounding_scheme: STOCHASTIC"), train=False)
    for text, message in [
        ("precision: MINIFLOAT exp_bits: 9", "23 mant_bits and 9 exp_bits"),
        ("precision: MINIFLOAT mant_bits: 24", "24 mant_bits"),
        ("bw_params: 0", "must be positive"),
        ("precision: INTEGER_POWER_OF_2_WEIGHTS exp_min: 0", "exp_min 0 and exp_max -1"),
    ]:
        with pytest.raises(NetError, match=message):
            Quantization.from_param(param(text), train=False)
