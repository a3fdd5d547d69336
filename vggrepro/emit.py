"""Building ONNX graphs: the only caller of ``onnx.helper``.

A :class:`GraphBuilder` collects nodes and constants under unique names. Layers add nodes through
it and hand tensor names (plain ``str``) around; :class:`Value` pairs a name with a shape where a
layer needs to know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import google.protobuf
import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from vggrepro.errors import FixedShapeError, NetError

OPSET = 18
"""Version of the operator set of every graph: the first with axes as inputs for all reductions."""

IR_VERSION = 8

FLOAT, FLOAT16, DOUBLE = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE
INT32, INT64, BOOL = onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.BOOL
"""What a Cast is told of the type that it makes."""

OPENCV = "vggrepro.opencv"
"""The domain of OpenCV 4's own operators until a file is written: OpenCV 4 looks for them among ONNX's."""

DeviceKind = Literal["cpu", "cuda"]
"""Kinds of devices, by ONNX Runtime's name of their memory."""

RuleSet = Literal["cpu", "cuda", "cuda-tf32"]
"""For whom rules may choose different operators for the same sum: a CPU, a GPU in float32, a GPU whose tensor
cores multiply (TF32 and float16)."""

Precision = Literal["fp32", "fp32-direct", "tf32", "fp16"]
"""How exactly products and sums are computed: float32, on a CPU also by direct sums alone; on a GPU also with
TF32's ten bits of mantissa, or float16 throughout."""

Shape = tuple[int, ...]
Dims = tuple[int | None, ...]
Infos = list[onnx.ValueInfoProto]


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: its name, its shape (None: known only when the graph runs)."""

    name: str
    dims: Dims
    dtype: npt.DTypeLike = np.float32

    @property
    def shape(self) -> Shape:
        """The shape, for rules that need every size. Raises FixedShapeError if one is symbolic."""
        fixed = tuple(d for d in self.dims if d is not None)
        if len(fixed) != len(self.dims):
            raise FixedShapeError(f"blob {self.name!r}: shape {self.dims} must be fixed here")
        return fixed

    @property
    def rank(self) -> int:
        return len(self.dims)


class GraphBuilder:
    """Nodes, constants and unique names of one ONNX graph under construction. ``rules`` says what the graph
    is made for: results are the same on every other device, speed is not. None: whatever runs the graph, so
    that it consists of the plainest operators."""

    def __init__(self, rules: RuleSet | None = None) -> None:
        self.rules = rules
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}
        self._by_content: dict[tuple[str, Shape, bytes], str] = {}
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}  # by base: the highest number that a name made from it has
        self._scope = ""
        self._home = ""  # the scope of constants, which belong to no layer

    @property
    def on_cuda(self) -> bool:
        return self.rules in ("cuda", "cuda-tf32")

    def reserve(self, name: str) -> None:
        """Keep ``name`` for the caller: no generated name will equal it."""
        self._taken.add(name)

    def fresh(self, hint: str) -> str:
        """A name that is not taken: the scope and the hint, with the lowest free number from 2 on if that
        is taken. Names are never given back, so the search goes on where the last one ended."""
        base = f"{self._scope}/{hint}" if self._scope else hint
        name, count = base, self._counts.get(base, 1)
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._counts[base] = count
        self._taken.add(name)
        return name

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names made inside begin with ``name``: the Caffe layer that the nodes stand for."""
        outer, self._scope = self._scope, f"{self._scope}/{name}" if self._scope else name
        try:
            yield
        finally:
            self._scope = outer

    def op(self, op_type: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output, and return the output's name. ``""`` skips an optional input."""
        return self.ops(op_type, *inputs, outputs=1, domain=domain, **attributes)[0]

    def ops(
        self, op_type: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any
    ) -> tuple[str, ...]:
        """Add a node with several outputs, and return their names."""
        names = tuple(self.fresh(op_type) for _ in range(outputs))
        node = helper.make_node(op_type, inputs, names, domain=domain, **attributes)
        node.name = names[0]
        self.nodes.append(node)
        return names

    def loop(
        self,
        most: str,
        states: Sequence[Value],
        step: Callable[[GraphBuilder, Sequence[str]], tuple[str, Sequence[str]]],
    ) -> tuple[str, ...]:
        """Repeat ``step`` as long as it asks for it, at most ``most`` (int64 ()) times; the last states.

        ``step`` gets a builder of its own and the names of the states in it, and sees nothing else of this
        graph. It returns a bool (), whether to go on, and the new states.
        """
        inner = self.inside("Loop")
        counter, before = (inner.fresh(hint) for hint in ("round", "before"))
        names = [inner.fresh("state") for _ in states]
        go_on, news = step(inner, names)
        ends = [inner.op("Identity", name) for name in (go_on, *news)]
        flags = [tensor_info(name, (), np.bool_) for name in (before, ends[0])]
        inputs = [tensor_info(counter, (), np.int64), flags[0], *_infos(names, states)]
        body = inner.body(inputs, [flags[1], *_infos(ends[1:], states)])
        return self.ops("Loop", most, "", *(v.name for v in states), outputs=len(states), body=body)

    def scan(self, sequence: Value, captured: Sequence[str], step: Callable[[GraphBuilder, str], str]) -> str:
        """What ``step`` makes of each element of a sequence along axis 0, stacked along axis 0.

        ``step`` gets a builder of its own and the name of the element in it, and sees of this graph the
        tensors ``captured`` alone. What it returns is a node's output and has as many axes as the element.
        """
        inner = self.inside("Scan")
        for name in captured:
            inner.reserve(name)
        element = inner.fresh("element")
        made = tensor_info(step(inner, element), (None,) * (sequence.rank - 1), sequence.dtype)
        body = inner.body(_infos([element], [sequence], first_axis=1), [made])
        return self.op("Scan", sequence.name, body=body, num_scan_inputs=1)

    def inside(self, op_type: str) -> GraphBuilder:
        """A builder for what a Loop or a Scan repeats; :meth:`body` finishes it."""
        inner = GraphBuilder(self.rules)
        inner._scope = inner._home = self.fresh(op_type)
        return inner

    def body(self, inputs: Infos, outputs: Infos) -> onnx.GraphProto:
        """What was built, as the body of a node."""
        constants = [tensor(name, array) for name, array in self.constants.items()]
        return helper.make_graph(self.nodes, self._scope, inputs, outputs, constants)

    def sum_in_order(self, terms: Sequence[str]) -> str:
        """The sum of one tensor or more, added from left to right: Caffe adds gradients and losses in this
        order, and float32 rounds differently in another one."""
        total, *rest = terms
        for term in rest:
            total = self.op("Add", total, term)
        return total

    def const(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """A constant (float32 unless ``dtype`` says otherwise); equal constants share one name."""
        array = np.asarray(value, dtype=dtype)
        array = np.ascontiguousarray(array).reshape(array.shape)  # a scalar must stay a scalar
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._by_content:
            outer, self._scope = self._scope, self._home
            self._by_content[key] = self.fresh(f"const_{len(self.constants)}")
            self._scope = outer
            self.constants[self._by_content[key]] = array
        return self._by_content[key]

    def ints(self, values: Sequence[int] | int) -> str:
        """An int64 constant: shapes, axes, indices."""
        return self.const(values, np.int64)


def tensor_info(name: str, dims: Sequence[int | str | None], dtype: npt.DTypeLike) -> onnx.ValueInfoProto:
    """The declaration of a graph input or output."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), dims)


def _infos(names: Sequence[str], values: Sequence[Value], first_axis: int = 0) -> Infos:
    """Declarations of tensors with the dims, from an axis on, and dtypes of values."""
    return [tensor_info(n, v.dims[first_axis:], v.dtype) for n, v in zip(names, values, strict=True)]


def tensor(name: str, array: npt.NDArray[Any]) -> onnx.TensorProto:
    """An initializer with its bytes inside."""
    return numpy_helper.from_array(array, name)


def declared_tensor(name: str, array: npt.NDArray[Any]) -> onnx.TensorProto:
    """An initializer whose bytes are kept elsewhere: only its name, type and shape."""
    proto = onnx.TensorProto(name=name, dims=array.shape, data_location=onnx.TensorProto.EXTERNAL)
    proto.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
    proto.external_data.add(key="location", value="in-memory")
    return proto


def tensor_array(proto: onnx.TensorProto) -> npt.NDArray[Any]:
    """The array of an initializer. Raises NetError where its bytes do not fit its shape and type."""
    try:
        return numpy_helper.to_array(proto)
    except (ValueError, TypeError, KeyError) as error:
        raise NetError(f"tensor {proto.name!r}: {error}") from None


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node as Python values: numbers, strings, lists, tensors as messages."""
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def declared_dims(info: onnx.ValueInfoProto) -> Dims | None:
    """The sizes that a declaration gives, None where they are free; None if it tells no rank."""
    tensor_type = info.type.tensor_type
    if not tensor_type.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor_type.shape.dim)


def declared_dtype(info: onnx.ValueInfoProto) -> np.dtype[Any]:
    """The dtype that a declaration gives."""
    return onnx_dtype(info.type.tensor_type.elem_type)


def place_outside(proto: onnx.TensorProto, file: str, offset: int, length: int) -> None:
    """Tell an initializer that its bytes lie in a file beside the model."""
    del proto.external_data[:]
    for key, value in (("location", file), ("offset", offset), ("length", length)):
        proto.external_data.add(key=key, value=str(value))


def onnx_dtype(code: int) -> np.dtype[Any]:
    """The dtype that ONNX has under a number."""
    return helper.tensor_dtype_to_np_dtype(code)


def newest_opset() -> int:
    """The newest operator set that the installed onnx can check."""
    return int(onnx.defs.onnx_opset_version())


def newest_ir_version() -> int:
    """The newest version of the file format that the installed onnx knows."""
    return int(onnx.IR_VERSION)


def library_versions() -> dict[str, str]:
    """The versions of the libraries that may change a byte of a written model."""
    return {"numpy": np.__version__, "onnx": onnx.__version__, "protobuf": google.protobuf.__version__}


def unknown_words(node: onnx.NodeProto, opset: int) -> str:
    """What of a node an operator set does not have: its operator or an attribute; empty if it has all."""
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError:
        return f"operator {node.op_type}"
    unknown = [a.name for a in node.attribute if a.name not in schema.attributes]
    return f"attribute {unknown[0]} of operator {node.op_type}" if unknown else ""


def with_named_domains(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model in which operators that ONNX does not have are in a domain of their own."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    others = [node for node in copy.graph.node if not node.domain and not onnx.defs.has(node.op_type)]
    for node in others:
        node.domain = "runtime"
    copy.opset_import.extend([helper.make_opsetid("runtime", 1)] if others else [])
    return copy


def properties(entries: Mapping[str, str]) -> onnx.ModelProto:
    """A model of nothing but metadata, to be merged into another."""
    result = onnx.ModelProto()
    helper.set_model_props(result, dict(entries))
    return result


def model(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto],
    metadata: Mapping[str, str],
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model around one graph. ``domains``: custom operator domains that its nodes use."""
    graph = helper.make_graph(list(nodes), name, list(inputs), list(outputs), list(initializers))
    opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(d, 1) for d in domains)]
    result = helper.make_model(graph, producer_name="vggrepro", opset_imports=opsets, ir_version=IR_VERSION)
    result.MergeFrom(properties(metadata))
    return result
