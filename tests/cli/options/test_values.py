"""Values of options."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vggrepro.cli.options.values import amount, bgr, names, natural, positive, result_file, size_range, sizes


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (positive, "1", 1),
        (natural, "0", 0),
        (sizes, "256,384", (256, 384)),
        (size_range, "256", (256, 256)),
        (size_range, "256,512", (256, 512)),
        (names, "fc6,fc7", ("fc6", "fc7")),
        (amount, "1e-4", 1e-4),
        (amount, "0", 0.0),
        (result_file, "a/m.onnx", Path("a/m.onnx")),
        (bgr, "103.939,116.779,123.68", (103.939, 116.779, 123.68)),
    ],
)
def test_values(parse: Callable[[str], Any], text: str, value: object) -> None:
    assert parse(text) == value


def test_minus_zero_is_zero() -> None:
    assert math.copysign(1, amount("-0")) == 1  # NumPy refuses a deviation of -0


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (positive, "0", "expected a whole number from 1, got '0'"),
        (positive, "1.5", "expected a whole number from 1, got '1.5'"),
        (positive, "2147483648", "expected a whole number up to 2147483647, got '2147483648'"),
        (natural, "-1", "expected a whole number from 0, got '-1'"),
        (sizes, "256,", "expected a whole number from 1, got ''"),
        (size_range, "8,9,10", "expected one size, or two, got '8,9,10'"),
        (amount, "nan", "expected a number from 0, got 'nan'"),
        (amount, "-0.1", "expected a number from 0, got '-0.1'"),
        (amount, "inf", "expected a number from 0, got 'inf'"),
        (bgr, "1,2", "expected three numbers, blue, green, red, got '1,2'"),
        (bgr, "1,2,nan", "expected numbers with commas between them, got '1,2,nan'"),
        (result_file, "m.onnx/", "'m.onnx/': the name of a folder, expected a file's"),
        (result_file, "m.onnx/.", "'m.onnx/.': the name of a folder, expected a file's"),
        (result_file, "", "'': an empty file name"),
        (bgr, "a,b,c", "expected numbers with commas between them, got 'a,b,c'"),
    ],
)
def test_refusals(parse: Callable[[str], Any], text: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        parse(text)
    assert str(raised.value) == message
