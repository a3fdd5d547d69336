"""Constant folding: what depends on parameters and fixed sizes alone is computed once, here.

The arithmetic is NumPy's in the tensors' own dtype. For ``+ - * /`` and the square root it has the same bits
as ONNX Runtime's, so the folded graph gives what the whole one gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import attributes, onnx_dtype, tensor_array
from vggrepro.graph.targets.draft import Draft, Place, rewrite

Array = npt.NDArray[Any]
Fold = Callable[..., Array | Sequence[Array]]

LARGEST = 1 << 16
"""Elements up to which a result may be larger than all that it was computed from."""


def fold_constants(draft: Draft) -> Draft:
    """The draft without nodes that have constants alone for inputs, or ask for sizes that are fixed."""
    while True:
        folded = rewrite(draft, "", _folded)
        if folded is draft:
            return draft
        draft = folded


def _folded(place: Place) -> Sequence[str] | None:
    node = place.node
    if node.op_type in ("Shape", "Size"):
        return _size(place)
    if node.op_type not in FOLDS or set(node.output) & place.draft.outputs:
        return None
    inputs = [place.array(i) if name else None for i, name in enumerate(node.input)]
    if any(array is None and name for array, name in zip(inputs, node.input, strict=True)):
        return None
    with np.errstate(all="ignore"):
        found = FOLDS[node.op_type](*inputs, **attributes(node))
    results = [found] if isinstance(found, np.ndarray | np.generic) else list(found)
    given = sum(array.size for array in inputs if array is not None)
    if sum(array.size for array in results) > max(given, LARGEST):
        return None
    return [place.g.const(array, array.dtype) for array in results]


def _size(place: Place) -> Sequence[str] | None:
    """A Shape or Size whose answer is known: of a constant, or where every size asked for is fixed."""
    dims = place.dims(0)
    if dims is None or set(place.node.output) & place.draft.outputs:
        return None
    asked = dims[place.attributes.get("start", 0) : place.attributes.get("end")]
    known = [d for d in asked if d is not None]
    if len(known) != len(asked):
        return None
    return [place.g.ints(known if place.node.op_type == "Shape" else int(np.prod(known)))]


def _reshape(x: Array, shape: Array, allowzero: int = 0) -> Array:
    return x.reshape([x.shape[i] if s == 0 and not allowzero else int(s) for i, s in enumerate(shape)])


def _unsqueeze(x: Array, axes: Array) -> Array:
    return np.expand_dims(x, tuple(int(a) for a in axes))


def _squeeze(x: Array, axes: Array | None = None) -> Array:
    return np.squeeze(x, None if axes is None else tuple(int(a) for a in axes))


def _slice(
    x: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None
) -> Array:
    places = range(len(starts)) if axes is None else [int(a) for a in axes]
    strides = [1] * len(starts) if steps is None else [int(s) for s in steps]
    cut = [slice(None)] * x.ndim
    for axis, start, end, step in zip(places, starts, ends, strides, strict=True):
        stop = None if step < 0 and end < -x.shape[axis] else int(end)
        cut[axis] = slice(int(start), stop, step)
    return x[tuple(cut)]


def _split(x: Array, sizes: Array | None = None, axis: int = 0, num_outputs: int = 0) -> Sequence[Array]:
    if sizes is None:
        each = -(-x.shape[axis] // num_outputs)
        return np.split(x, range(each, each * num_outputs, each), axis)
    return np.split(x, np.cumsum(sizes)[:-1].tolist(), axis)


def _divide(a: Array, b: Array) -> Array:
    """ONNX rounds quotients of integers towards zero."""
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)), a.dtype)


def _reduced(operation: Callable[..., Array]) -> Fold:
    def fold(x: Array, axes: Array | None = None, keepdims: int = 1) -> Array:
        where = None if axes is None else tuple(int(a) for a in axes)
        return np.asarray(operation(x, axis=where, keepdims=bool(keepdims))).astype(x.dtype)

    return fold


def _fill(shape: Array, value: Any = None) -> Array:
    filling = np.zeros(1, np.float32) if value is None else tensor_array(value)
    return np.full([int(s) for s in shape], filling[0], filling.dtype)


FOLDS: Mapping[str, Fold] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Neg": np.negative,
    "Sqrt": np.sqrt,
    "Reciprocal": lambda x: (1 / x).astype(x.dtype),
    "Min": lambda *terms: reduce(np.minimum, terms),
    "Max": lambda *terms: reduce(np.maximum, terms),
    "Equal": np.equal,
    "Less": np.less,
    "Greater": np.greater,
    "Not": np.logical_not,
    "And": np.logical_and,
    "Where": np.where,
    "Cast": lambda x, to: x.astype(onnx_dtype(to)),
    "Identity": lambda x: x,
    "Reshape": _reshape,
    "Flatten": lambda x, axis=1: x.reshape(int(np.prod(x.shape[:axis])), -1),
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Transpose": lambda x, perm=None: np.transpose(x, perm),
    "Concat": lambda *parts, axis: np.concatenate(parts, axis),
    "Slice": _slice,
    "Split": _split,
    "Gather": lambda x, index, axis=0: np.take(x, index, axis),
    "Expand": lambda x, shape: x * np.ones([int(s) for s in shape], x.dtype),
    "ConstantOfShape": _fill,
    "Range": lambda start, limit, delta: np.arange(start, limit, delta, dtype=start.dtype),
    "ReduceSum": _reduced(np.sum),
    "ReduceProd": _reduced(np.prod),
    "Tile": lambda x, repeats: np.tile(x, [int(r) for r in repeats]),
}
"""How constants are computed, by operator: inputs in their order, attributes by name."""
