"""Layer tests against two judges: the float64 reference forward, central differences of it backward.

    layer = parse('type: "Power" power_param { power: 2 }')
    x = tie_free(rng, (2, 3, 5, 4))
    check_forward(layer, [x], dims=[(None, 3, None, None)])
    check_gradient(layer, [x])

Both run ONNX Runtime on the CPU and let ``onnx.checker`` and the table of CUDA kernels see the graph.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf import text_format
from onnx import helper

from vggrepro import emit
from vggrepro.caffe.messages import TEST, LayerParameter
from vggrepro.emit import Dims, GraphBuilder, RuleSet, Value
from vggrepro.errors import naming
from vggrepro.layers.base import Emitted, Layer, Needed
from vggrepro.layers.registry import layer_class

KERNEL_TABLE = Path(__file__).parents[1] / "cuda_kernels.tsv"


def parse(text: str, phase: int = TEST) -> Layer:
    """A layer from the inside of a ``layer { }`` block. A name and one top are added where missing."""
    param = text_format.Parse(text, LayerParameter())
    param.name = param.name or "l"
    if not param.top:
        param.top.append("y")
    with naming(f"layer {param.name!r}"):
        return layer_class(param.type).from_param(param, phase)


def tie_free(rng: np.random.Generator, shape: Sequence[int], low: float = -1, high: float = 1) -> np.ndarray:
    """Float32 values in random order, evenly spaced between ``low`` and ``high``, so no two are equal
    and (for a symmetric range) none is nearer to 0 than half of the spacing."""
    count = int(np.prod(shape))
    even = count + count % 2  # an odd number of steps would have one in the middle
    steps = np.linspace(low, high, 2 * even + 1)[1::2]
    return rng.permutation(steps)[:count].reshape(shape).astype(np.float32)


def check_forward(
    layer: Layer,
    bottoms: Sequence[np.ndarray],
    params: Sequence[np.ndarray] = (),
    states: Sequence[np.ndarray] = (),
    *,
    dims: Sequence[Dims] | None = None,
    rtol: float = 1e-5,
    atol: float | None = None,
    without_kernel: Sequence[str] = (),
    device: RuleSet = "cpu",
) -> list[np.ndarray]:
    """Tops, moved parameters and next states equal ``layer.reference``; returns the tops.

    ``dims``: the shapes that the graph is built with, one for each bottom, None for a symbolic size.
    ``atol``: by default 5e-6 of an array's largest magnitude. ``without_kernel``: operators that are
    known to have no CUDA kernel. ``device``: the kind whose rules are followed; the graph runs on the CPU
    all the same.
    """
    built = _Built(layer, bottoms, params, states, dims, device)
    emitted = built.emitted
    names = [*emitted.tops, *emitted.next_params.values(), *emitted.next_states]
    got = built.run(names, without_kernel)
    expected = layer.reference(_doubles(bottoms), _doubles(params), list(states))
    wanted = [*expected.tops, *expected.next_params.values(), *expected.next_states]
    assert emitted.next_params.keys() == expected.next_params.keys()
    assert len(got) == len(wanted)
    shapes = layer.out_shapes([b.shape for b in bottoms])
    for top, shape in zip(got, shapes, strict=False):
        assert top.shape == tuple(shape), f"top has shape {top.shape}, out_shapes says {shape}"
    for index, (a, b) in enumerate(zip(got, wanted, strict=True)):
        _compare(f"output {index}", a, b, rtol, atol, share=5e-6)
    return got[: len(shapes)]


def check_gradient(
    layer: Layer,
    bottoms: Sequence[np.ndarray],
    params: Sequence[np.ndarray] = (),
    states: Sequence[np.ndarray] = (),
    *,
    d_tops: Sequence[np.ndarray | None] | None = None,
    needed: Needed | None = None,
    rtol: float = 1e-4,
    atol: float | None = None,
    step: float = 1e-5,
    most: int = 120,
    seed: int = 0,
    without_kernel: Sequence[str] = (),
    device: RuleSet = "cpu",
) -> list[np.ndarray | None]:
    """``layer.grad`` equals central differences of ``layer.reference`` in float64.

    ``d_tops``: by default random, or for a loss layer weight 1 on its first top and None on others.
    ``needed``: by default all bottoms but the blind ones, all parameters but the statistics.
    ``atol``: by default 2e-5 of an array's largest magnitude, and 1e-5 of the largest in ``d_tops``,
    for what cancels out.
    ``most``: elements checked in each array, drawn with ``seed``. A gradient that the rule leaves
    None counts as zeros. The data must be ``step`` away from kinks: see :func:`tie_free`. ``device``: the
    kind whose rules are followed; the graph runs on the CPU all the same.
    """
    rng = np.random.default_rng(seed)
    shapes = layer.out_shapes([b.shape for b in bottoms])
    if d_tops is None and layer.loss:
        d_tops = [np.float32(1).reshape(()), *([None] * (len(shapes) - 1))]
    elif d_tops is None:
        d_tops = [tie_free(rng, shape) for shape in shapes]
    needed = needed or _everything(layer, bottoms)
    got = run_gradient(
        layer,
        bottoms,
        params,
        d_tops,
        states=states,
        needed=needed,
        without_kernel=without_kernel,
        device=device,
    )
    arrays = _doubles([*bottoms, *params])
    floor = 1e-5 * max((float(np.abs(d).max(initial=0)) for d in d_tops if d is not None), default=0)

    def objective() -> float:
        tops = layer.reference(arrays[: len(bottoms)], arrays[len(bottoms) :], list(states)).tops
        return sum(
            float((np.float64(d) * top).sum()) for d, top in zip(d_tops, tops, strict=True) if d is not None
        )

    for index, wanted in enumerate((*needed.bottoms, *needed.params)):
        if not wanted:
            continue
        x, found = arrays[index], got[index]
        if found is not None:
            assert found.shape == x.shape, f"gradient {index}: shape {found.shape}, input {x.shape}"
        at = rng.permutation(x.size)[:most]
        expected = np.array([_slope(objective, x, i, step) for i in at])
        actual = np.zeros(len(at)) if found is None else found.reshape(-1)[at]
        _compare(f"gradient of input {index}", actual, expected, rtol, atol, share=2e-5, floor=floor)
    return got


def run_gradient(
    layer: Layer,
    bottoms: Sequence[np.ndarray],
    params: Sequence[np.ndarray],
    d_tops: Sequence[np.ndarray | None],
    *,
    states: Sequence[np.ndarray] = (),
    needed: Needed | None = None,
    without_kernel: Sequence[str] = (),
    device: RuleSet = "cpu",
) -> list[np.ndarray | None]:
    """The gradients of bottoms, then parameters, for a test with its own expectation."""
    needed = needed or _everything(layer, bottoms)
    built = _Built(layer, bottoms, params, states, device=device)
    fed = iter(built.inputs("d_top", [d for d in d_tops if d is not None]))
    names = [None if d is None else next(fed).name for d in d_tops]
    gradients = layer.grad(built.g, built.emitted.saved, names, needed)
    assert len(gradients.bottoms) in (0, len(bottoms))
    assert len(gradients.params) in (0, len(params))
    found = [*(gradients.bottoms or [None] * len(bottoms)), *(gradients.params or [None] * len(params))]
    arrays = iter(built.run([name for name in found if name is not None], without_kernel))
    return [None if name is None else next(arrays) for name in found]


def missing_kernels(model: onnx.ModelProto) -> set[str]:
    """Operators of the graph for which the table lists no CUDA kernel of their version and types."""
    typed = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*typed.value_info, *typed.input, *typed.output)}
    types |= {t.name: t.data_type for t in typed.initializer}
    return {node.op_type for node in typed.node if not _has_kernel(node, types)}


@dataclass(frozen=True)
class _Kernel:
    first: int
    last: float
    types: dict[str, set[str]]


@cache
def _kernels() -> dict[str, list[_Kernel]]:
    table: dict[str, list[_Kernel]] = {}
    with KERNEL_TABLE.open() as lines:
        for row in csv.DictReader((line for line in lines if line[0] != "#"), delimiter="\t"):
            if row["domain"] == "ai.onnx":
                table.setdefault(row["op"], []).append(_kernel(row["opset"], row["types"]))
    return table


def _kernel(opset: str, types: str) -> _Kernel:
    bounds = opset.strip("[]").split(",")
    first = int(bounds[0].rstrip("+"))
    last = float("inf") if opset.endswith("+") else float(bounds[-1])
    named = (entry.split("=") for entry in types.split(";") if "=" in entry)
    return _Kernel(first, last, {name: set(values.split(",")) for name, values in named})


def _has_kernel(node: onnx.NodeProto, types: dict[str, int]) -> bool:
    schema = onnx.defs.get_schema(node.op_type, emit.OPSET)
    uses = dict(_typed_slots(node, schema, types))
    return any(
        kernel.first <= schema.since_version <= kernel.last
        and all(uses[slot] in names for slot, names in kernel.types.items() if slot in uses)
        for kernel in _kernels().get(node.op_type, [])
    )


def _typed_slots(node: onnx.NodeProto, schema: Any, types: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Pairs of type constraint and element type, such as ("T", "float"), of a node's tensors."""
    names = {onnx.TensorProto.FLOAT: "float"}
    for tensors, formals in ((node.input, schema.inputs), (node.output, schema.outputs)):
        for index, name in enumerate(tensors):
            if types.get(name):
                slot = formals[min(index, len(formals) - 1)].type_str
                number = types[name]
                yield slot, names.get(number, onnx.TensorProto.DataType.Name(number).lower())


class _Built:
    """One layer's forward graph, with what is needed to run it."""

    def __init__(
        self,
        layer: Layer,
        bottoms: Sequence[np.ndarray],
        params: Sequence[np.ndarray],
        states: Sequence[np.ndarray],
        dims: Sequence[Dims] | None = None,
        device: RuleSet = "cpu",
    ) -> None:
        shapes = [b.shape for b in bottoms]
        declared = [p.shape for p in layer.param_defs(shapes)]
        assert declared == [p.shape for p in params], f"param_defs says {declared}"
        self.g, self.feeds = GraphBuilder(device), {}
        self.infos: list[onnx.ValueInfoProto] = []
        values = [
            self.inputs("bottom", bottoms, dims),
            self.inputs("param", params),
            self.inputs("state", states),
        ]
        self.emitted: Emitted = layer.emit(self.g, *values)

    def inputs(
        self, kind: str, arrays: Sequence[np.ndarray], dims: Sequence[Dims] | None = None
    ) -> list[Value]:
        values = []
        for index, array in enumerate(arrays):
            sizes = dims[index] if dims else array.shape
            value = Value(f"{kind}{index}", tuple(sizes), array.dtype)
            self.g.reserve(value.name)
            self.feeds[value.name] = np.asarray(array)
            labels = [f"{value.name}_{axis}" if s is None else s for axis, s in enumerate(sizes)]
            self.infos.append(emit.tensor_info(value.name, labels, array.dtype))
            values.append(value)
        return values

    def run(self, names: Sequence[str], without_kernel: Sequence[str]) -> list[np.ndarray]:
        if not names:  # ONNX Runtime takes no empty graph
            return []
        outputs = [self.g.op("Identity", name) for name in names]  # an input or a constant may be a top
        constants = [emit.tensor(name, array) for name, array in self.g.constants.items()]
        untyped = [helper.make_empty_tensor_value_info(name) for name in outputs]
        model = emit.model("layer", self.g.nodes, self.infos, untyped, constants, {})
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(inferred, full_check=True)
        assert missing_kernels(inferred) <= set(without_kernel)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = ort.InferenceSession(inferred.SerializeToString(), options, ["CPUExecutionProvider"])
        return session.run(outputs, self.feeds)


def _everything(layer: Layer, bottoms: Sequence[np.ndarray]) -> Needed:
    defs = layer.param_defs([b.shape for b in bottoms])
    return Needed(
        tuple(index not in layer.blind_bottoms for index in range(len(bottoms))),
        tuple(not definition.statistic for definition in defs),
    )


def _doubles(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [np.array(a, np.float64) for a in arrays]


def _slope(objective: Any, x: np.ndarray, index: int, step: float) -> float:
    flat = x.reshape(-1)
    value = flat[index]
    flat[index] = value + step
    above = objective()
    flat[index] = value - step
    below = objective()
    flat[index] = value
    return (above - below) / (2 * step)


def _compare(
    what: str,
    got: np.ndarray,
    expected: np.ndarray,
    rtol: float,
    atol: float | None,
    *,
    share: float,
    floor: float = 1e-7,
) -> None:
    """``atol`` is by default a share of the largest magnitude, or ``floor`` if that is more."""
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    if atol is None:
        finite = np.abs(expected[np.isfinite(expected)])
        atol = max(share * float(finite.max(initial=0)), floor)
    np.testing.assert_allclose(got, expected, rtol, atol, err_msg=what)
