"""The matrix by which ONNX's Resize and Upsample act along one axis: interpolation is linear in the pixels.

Source: ONNX's operator Resize, versions 10 to 19, and Upsample, versions 7 and 9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vggrepro.graph.to_caffe.caffe_writer import Array, Reading

NEAREST: Mapping[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
"""The pixel for a coordinate, by ``nearest_mode``."""


def axis_matrix(node: Reading, axis: int) -> Array:
    """(outputs, inputs) float64: the weight of each input pixel in each output pixel along an axis. Raises
    UnsupportedError for what is no such matrix, or not known to be."""
    inputs, outputs = node.shape()[axis], node.top_shape[axis]
    given = node.attributes
    if given.get("antialias", 0) or given.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.refusal("antialias, or keep_aspect_ratio_policy")
    x = _coordinates(node, inputs, outputs, _scale(node, axis, outputs / inputs))
    mode = given.get("mode", "nearest")
    if mode == "nearest":
        rule = given.get("nearest_mode", "floor" if _is_old(node) else "round_prefer_floor")
        return _weighted(NEAREST[rule](x)[:, None], np.ones((outputs, 1)), inputs)
    first = np.floor(x)
    if mode == "linear":
        share = x - first
        return _weighted(first[:, None] + [0, 1], np.stack([1 - share, share], axis=1), inputs)
    if mode == "cubic":
        places = first[:, None] + [-1, 0, 1, 2]
        weights = _cubic(np.abs(x[:, None] - places), given.get("cubic_coeff_a", -0.75))
        if given.get("exclude_outside", 0):
            weights = np.where((places >= 0) & (places < inputs), weights, 0)
            weights /= weights.sum(axis=1, keepdims=True)
        return _weighted(places, weights, inputs)
    raise node.refusal(f"mode {mode}")


def _is_old(node: Reading) -> bool:
    """Whether scales count from the corner, and the pixel before a coordinate is the nearest: the only rule
    before operator set 11."""
    return node.place.draft.opset < 11


def _scale(node: Reading, axis: int, ratio: float) -> float:
    """Output pixels for an input pixel, as the node says it; the ratio of the sizes if it gives sizes."""
    given = node.attributes.get("scales")
    place = 1 if _is_old(node) else 2
    if given is None and node.place.input(place):
        given = node.constant(place).tolist()
    if not given:
        return ratio
    axes = [int(a) % len(node.shape()) for a in node.attributes.get("axes", range(len(node.shape())))]
    return float(given[axes.index(axis)]) if axis in axes else 1.0


def _coordinates(node: Reading, inputs: int, outputs: int, scale: float) -> Array:
    """Where each output pixel lies among the input pixels, in their unit: float32, as runtimes compute it,
    since rounding decides which of two pixels at one distance is the nearest."""
    place: Array = np.arange(outputs, dtype=np.float32)
    half = np.float32(0.5)
    default = "asymmetric" if _is_old(node) else "half_pixel"
    rule = node.attributes.get("coordinate_transformation_mode", default)
    step = np.float32(scale)
    if rule == "asymmetric":
        place = place / step
    elif rule == "align_corners":
        place = place * np.float32((inputs - 1) / (outputs - 1) if outputs > 1 else 0)
    elif rule == "half_pixel_symmetric":
        place = np.float32(inputs / 2 * (1 - outputs / (scale * inputs))) + ((place + half) / step - half)
    elif rule == "half_pixel" or (rule == "pytorch_half_pixel" and outputs > 1):
        place = (place + half) / step - half
    elif rule != "pytorch_half_pixel":
        raise node.refusal(f"coordinate_transformation_mode {rule}")
    return place


def _cubic(distance: Array, a: float) -> Array:
    """Keys' kernel at distances of up to two pixels."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, far)


def _weighted(places: Array, weights: Array, inputs: int) -> Array:
    """The matrix of weights (outputs, taps) of pixels at places (outputs, taps); beyond the edges stands the
    last pixel."""
    matrix = np.zeros((len(places), inputs))
    rows = np.broadcast_to(np.arange(len(places))[:, None], places.shape)
    np.add.at(matrix, (rows, np.clip(places, 0, inputs - 1).astype(np.int64)), weights)
    return matrix
