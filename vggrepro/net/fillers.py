"""Caffe's fillers: the values that a parameter has before it is trained or loaded.

``expectation`` and ``imagexy`` are fillers of the Caffe of guided policy search (zobot/caffe), ``diagonal``
of FlowNet 2's (lmb-freiburg/flownet2), not of BVLC's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import NetError, UnsupportedError, did_you_mean

Values = npt.NDArray[Any]


def fill(shape: Shape, filler: Any, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Values for a parameter of ``shape``, float32, as Caffe's filler of ``filler.type`` draws them. A tuple
    is the values themselves.

    Raises NetError for an unknown filler, for ``sparse`` where Caffe has none, and for numbers or shapes that
    a filler does not accept.
    """
    if isinstance(filler, tuple):
        return np.array(filler, np.float32).reshape(shape)
    if filler.type not in _FILLERS:
        raise NetError(f"Unknown filler name: {filler.type}{did_you_mean(filler.type, _FILLERS)}")
    if filler.sparse != -1 and filler.type != "gaussian":
        raise NetError(f"filler {filler.type!r}: Sparsity not supported by this Filler.")
    given = {field.name for field, _ in filler.ListFields()}
    for field, types in _OWN_FIELDS.items():
        if field in given and filler.type not in types:
            raise UnsupportedError(f"filler {filler.type!r}: {field} is for {' and '.join(types)}")
    return np.asarray(_FILLERS[filler.type](shape, filler, rng), np.float32, order="C")


def _constant(shape: Shape, filler: Any, _rng: np.random.Generator) -> Values:
    return np.full(shape, filler.value, np.float32)


def _uniform(shape: Shape, filler: Any, rng: np.random.Generator) -> Values:
    return _draw_uniform(shape, filler.min, filler.max, rng)


def _gaussian(shape: Shape, filler: Any, rng: np.random.Generator) -> Values:
    """``sparse`` keeps that many inputs of each output, on average: the mask is drawn freely."""
    _check_gaussian(shape, filler)
    values: Values = rng.standard_normal(shape, np.float32) * np.float32(filler.std) + np.float32(filler.mean)
    if filler.sparse >= 0:
        values *= rng.random(shape, np.float32) < filler.sparse / shape[0]
    return values


def _check_gaussian(shape: Shape, filler: Any) -> None:
    if filler.std <= 0:
        raise NetError(f"filler 'gaussian': std must be positive, got {filler.std:g}")
    if filler.sparse < -1:
        raise NetError(f"filler 'gaussian': sparse must be -1 or more, got {filler.sparse}")
    if filler.sparse >= 0 and not shape:
        raise NetError("filler 'gaussian': sparse needs a blob of at least one axis")
    if filler.sparse >= 0 and filler.sparse > shape[0]:
        raise NetError(
            f"filler 'gaussian': sparse must not exceed the outputs, got {filler.sparse} for {shape[0]}"
        )


def _positive_unitball(shape: Shape, _filler: Any, rng: np.random.Generator) -> Values:
    """Uniform in [0, 1), then each output's inputs scaled to the sum 1."""
    if not shape:
        raise NetError("filler 'positive_unitball': needs a blob of at least one axis")
    rows = rng.random((shape[0], math.prod(shape[1:])), np.float32)
    values: Values = rows / rows.sum(axis=1, keepdims=True)
    return values.reshape(shape)


def _xavier(shape: Shape, filler: Any, rng: np.random.Generator) -> Values:
    scale = math.sqrt(3.0 / _fan(shape, filler))
    return _draw_uniform(shape, -scale, scale, rng)


def _msra(shape: Shape, filler: Any, rng: np.random.Generator) -> Values:
    values: Values = rng.standard_normal(shape, np.float32) * math.sqrt(2.0 / _fan(shape, filler))
    return values


def _bilinear(shape: Shape, _filler: Any, _rng: np.random.Generator) -> Values:
    """The interpolation kernel that upsamples by Deconvolution; the same for every channel."""
    if len(shape) != 4:
        raise NetError(f"filler 'bilinear': Blob must be 4 dim., got shape {shape}")
    height, width = shape[2:]
    if height != width:
        raise NetError(f"filler 'bilinear': Filter must be square, got {height}x{width}")
    factor = math.ceil(width / 2)
    centre = (width - 1) / (2 * factor)
    ramp = 1 - np.abs(np.arange(width) / factor - centre)
    return np.broadcast_to(np.outer(ramp, ramp), shape)


def _expectation(shape: Shape, filler: Any, _rng: np.random.Generator) -> Values:
    """Weights with which a product of (outputs, width * height) gives the expected x and y of a picture of
    probabilities, from -1 to 1; with ``-x^2y^2`` the expectations of their squares, negated."""
    option, width, height = filler.expectation_option, filler.width, filler.height
    chosen = {"xy": (0, 1), "-x^2y^2": (0, 1), "x": (0,), "y": (1,)}.get(option)
    if chosen is None:
        raise NetError(f"filler 'expectation': unknown expectation_option {option!r}")
    if min(width, height) < 2 or shape != (len(chosen), width * height):
        raise NetError(
            f"filler 'expectation': {option} of {width}x{height} needs a weight"
            f" ({len(chosen)}, {width * height}), got {shape}"
        )
    places = np.mgrid[:height, :width].reshape(2, -1)[::-1]  # x and y of each place
    values = 2 * (places / np.array([[width - 1], [height - 1]]) - 0.5)
    weights: Values = -(values**2) if option == "-x^2y^2" else values[list(chosen)]
    return weights


def _imagexy(shape: Shape, filler: Any, _rng: np.random.Generator) -> Values:
    """The same for ``channels`` pictures at a time, (outputs, channels * height * width): outputs x of the
    first channel, y of the first, x of the second, ...; or of each x, y or the sum (``ones``) alone."""
    option, channels, width, height = filler.xy, filler.channels, filler.width, filler.height
    if min(channels, width, height) < 1:
        raise NetError(f"filler 'imagexy': needs channels, width and height, got {channels, width, height}")
    x, y = np.mgrid[1 : height + 1, 1 : width + 1].reshape(2, -1)[::-1]
    rows = np.array([2 * (x / width - 0.5), 2 * (y / height - 0.5)])
    kinds = {"both": rows, "nboth2": -(rows**2), "x": rows[:1], "y": rows[1:], "ones": np.ones((1, x.size))}
    if option not in kinds:
        raise NetError(f"filler 'imagexy': unknown xy {option!r}")
    values: Values = np.kron(np.eye(channels), kinds[option])
    if values.shape != shape:
        raise NetError(
            f"filler 'imagexy': {option} of {channels} channels of {width}x{height} needs a weight"
            f" {values.shape}, got {shape}"
        )
    return values


def _diagonal(shape: Shape, filler: Any, _rng: np.random.Generator) -> Values:
    """Each output the mean of the window in the channel of its own number, times that one of ``diag_val``, or
    1 behind the last."""
    num, channels, *window = (*shape, 1, 1)[: max(len(shape), 2)]
    factors = np.ones(min(num, channels))
    given = filler.diag_val[: len(factors)]
    factors[: len(given)] = given
    values: Values = np.zeros((num, channels, math.prod(window)))
    np.einsum("iik->ik", values[: len(factors), : len(factors)])[:] = factors[:, None] / values.shape[2]
    return values.reshape(shape)


def _draw_uniform(shape: Shape, low: float, high: float, rng: np.random.Generator) -> Values:
    if low > high:
        raise NetError(f"filler 'uniform': min must not exceed max, got {low} and {high}")
    values: Values = rng.random(shape, np.float32) * np.float32(high - low) + np.float32(low)
    return values


def _fan(shape: Shape, filler: Any) -> float:
    """Caffe's fan: count / num inputs, count / channels outputs, or the mean (``variance_norm``)."""
    count = math.prod(shape)
    fan_in = count / shape[0] if shape else 1.0
    fan_out = count / (shape[1] if len(shape) > 1 else 1)
    return float((fan_in, fan_out, (fan_in + fan_out) / 2)[filler.variance_norm])


_FILLERS: dict[str, Callable[[Shape, Any, np.random.Generator], Values]] = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "positive_unitball": _positive_unitball,
    "xavier": _xavier,
    "msra": _msra,
    "bilinear": _bilinear,
    "bilinear_upsampling": _bilinear,  # as tnarihi/caffe called it first
    "expectation": _expectation,
    "imagexy": _imagexy,
    "diagonal": _diagonal,
}

_OWN_FIELDS = {
    "channels": ("imagexy",),
    "xy": ("imagexy",),
    "expectation_option": ("expectation",),
    "width": ("expectation", "imagexy"),
    "height": ("expectation", "imagexy"),
    "diag_val": ("diagonal",),
}
"""Fields of forks, and the fillers that read them."""
