"""Chains of sums and products with constants: one multiply-add, or none where a convolution or a matrix
product stands before them.

DEVIATION: a BatchNorm, ``(x - mean) / deviation``, becomes ``x * scale + shift``: where the mean is many
deviations, float32 loses digits that Caffe keeps. The target ``onnxruntime`` does without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Dims, Shape
from vggrepro.graph.targets.draft import Place

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Chain:
    """``scale * x + shift``, both broadcast to x. ``made`` is the node that makes x, ``operators`` are those
    of the chain, in order."""

    x: str
    made: Place | None
    scale: Array
    shift: Array
    operators: tuple[str, ...]

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.scale).all() and np.isfinite(self.shift).all())


def merge(place: Place) -> Sequence[str] | None:
    """One Mul and one Add for any other chain, found at its last node."""
    chain = _chain(place)
    if chain is None or not chain.finite or chain.operators in (("Mul",), ("Add",), ("Mul", "Add")):
        return None
    return [_multiply_add(place, chain)]


def into_weights(place: Place) -> Sequence[str] | None:
    """The convolution or matrix product before a chain, with the chain in its weights and bias."""
    chain = _chain(place)
    if chain is None or not chain.finite:
        return None
    made = chain.made
    if (
        made is None
        or made.node.op_type not in _OUTPUT_AXIS
        or made.draft.only_reader(made.node.output[0]) is None
    ):
        return None
    weight, bias = made.array(1), made.array(2) if made.input(2) else np.zeros(1)
    if weight is None or bias is None or made.draft.dtype(made.input(1)) != np.float32:
        return None
    vectors = _per_channel(made, chain)
    if vectors is None:
        return None
    scale, shift = vectors
    return _scaled(made, weight, bias.astype(np.float64) * scale + shift, scale)


_OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0}
"""The axis of a weight that counts outputs."""


def _scaled(made: Place, weight: npt.NDArray[Any], bias: Array, scale: Array) -> Sequence[str]:
    group = made.attributes.get("group", 1)
    if made.node.op_type == "ConvTranspose":  # (C, K / group, kernel): a group's outputs go with its inputs
        factors = scale.reshape(group, 1, -1).repeat(len(weight) // group, 1).reshape(len(weight), -1)
    elif made.node.op_type == "Gemm" and not made.attributes.get("transB", 0):
        factors = scale[None]
    else:
        factors = scale
    shaped = factors.reshape(factors.shape + (1,) * (weight.ndim - factors.ndim)).astype(np.float32)
    g = made.g
    return made.again(made.input(0), g.const(weight * shaped), g.const(bias))


def _per_channel(made: Place, chain: Chain) -> tuple[Array, Array] | None:
    """Scale and shift as vectors over the outputs of a convolution or matrix product; None if they differ
    along other axes."""
    if made.node.op_type == "Gemm" and (
        made.attributes.get("alpha", 1) != 1 or made.attributes.get("beta", 1) != 1
    ):
        return None
    dims = made.draft.dims(made.node.output[0])
    if dims is None or dims[1] is None:
        return None
    vectors = []
    for array in (chain.scale, chain.shift):
        shape: Shape = (1,) * (len(dims) - array.ndim) + array.shape
        if array.size != shape[1]:
            return None
        vectors.append(np.broadcast_to(array.reshape(-1), (dims[1],)))
    scale, shift = vectors
    return scale, shift


def _chain(place: Place) -> Chain | None:
    """The chain that ends at a node; None unless the node ends one."""
    reader = place.draft.only_reader(place.node.output[0])
    following = None if reader is None else _step(replace(place, node=reader))
    if following is not None and reader is not None and reader.input[following[0]] == place.node.output[0]:
        return None
    scale, shift = np.ones(()), np.zeros(())
    operators: tuple[str, ...] = ()
    made: Place | None = place
    x = place.node.output[0]
    while made is not None and (not operators or made.draft.only_reader(x) is not None):
        step = _step(made)
        if step is None:
            break
        index, factor, summand = step
        with np.errstate(invalid="ignore"):
            scale, shift = scale * factor, scale * summand + shift
        operators = (made.node.op_type, *operators)
        x, made = made.input(index), made.producer(index)
    return Chain(x, made, scale, shift, operators) if operators else None


def _step(place: Place) -> tuple[int, Array, Array] | None:
    """For a sum, difference, product or quotient of one tensor and a constant that broadcasts to it: which
    input the tensor is, what it is multiplied by, and what is added then."""
    operator = place.node.op_type
    if operator not in ("Add", "Sub", "Mul", "Div"):
        return None
    arrays = [place.array(0), place.array(1)]
    index = 1 if arrays[1] is None else 0
    constant = arrays[1 - index]
    if arrays[index] is not None or constant is None or constant.dtype != np.float32:
        return None
    if not _fits(constant.shape, place.dims(index)) or (operator == "Div" and index == 1):
        return None
    exact, one, none = constant.astype(np.float64), np.ones(()), np.zeros(())
    if operator == "Add":
        return index, one, exact
    if operator == "Sub":
        return (index, one, -exact) if index == 0 else (index, -one, exact)
    with np.errstate(divide="ignore"):
        return index, (exact if operator == "Mul" else 1 / exact), none


def _fits(constant: Sequence[int], dims: Dims | None) -> bool:
    """Whether a constant broadcasts to a tensor without enlarging it."""
    if dims is None or len(constant) > len(dims):
        return False
    tail = dims[len(dims) - len(constant) :]
    return all(c in (1, d) for c, d in zip(constant, tail, strict=True))


def _multiply_add(place: Place, chain: Chain) -> str:
    g, y = place.g, chain.x
    if np.any(chain.scale != 1):
        y = g.op("Mul", y, g.const(chain.scale))
    if np.any(chain.shift != 0):
        y = g.op("Add", y, g.const(chain.shift))
    return y
