"""``Graph``: an ONNX model whose weights stay where they are until they are needed.

A caffemodel of half a gigabyte is memory-mapped; copying it into a protobuf message, and that into
a file or a session, would cost three copies. So the model is kept as a skeleton, in which each
weight is an initializer stored elsewhere, beside a mapping from names to arrays.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from vggrepro.caffe.wire import prefix
from vggrepro.emit import (
    declared_tensor,
    place_outside,
    properties,
    tensor,
    tensor_info,
    with_named_domains,
)
from vggrepro.errors import UnsupportedError
from vggrepro.graph.label_checks import LabelCheck
from vggrepro.graph.metadata import digests
from vggrepro.system.atomic import OutputFile, replacing, replacing_paths, writing
from vggrepro.system.background import Background
from vggrepro.system.file_names import is_utf8
from vggrepro.system.mapped import chunks

LARGE = 1024
"""Bytes from which on an array is kept outside the skeleton."""


@dataclass(frozen=True)
class State:
    """What a layer carries from run to run: the graph's ``output`` of one run is the ``input`` of the next.
    The input is optional and defaults to ``initial``."""

    input: str
    output: str
    initial: npt.NDArray[Any]
    random: bool
    """True for the seed of a random draw, as :class:`vggrepro.layers.base.StateDef` describes it."""


@dataclass(frozen=True)
class Graph:
    """``skeleton`` with external initializers, and their arrays in ``weights`` by name. The other fields
    say which of its inputs and outputs is what."""

    skeleton: onnx.ModelProto
    weights: Mapping[str, npt.NDArray[Any]]
    sources: Mapping[str, str] = field(default_factory=dict)
    """Files that the net came from, by kind: a finished model tells their SHA-256."""
    blobs: Mapping[str, str] = field(default_factory=dict)
    """The output of each blob that the graph returns."""
    loss: str | None = None
    """The output with the sum of all losses times their weights."""
    gradients: Mapping[str, str] = field(default_factory=dict)
    """The output with the gradient of each blob, or of each parameter ``layer:index``."""
    states: tuple[State, ...] = ()
    """States that the graph takes and returns."""
    label_checks: tuple[LabelCheck, ...] = ()
    """What is to be checked of the inputs before a run: labels for which a layer has no class."""
    statistics: Mapping[str, str] = field(default_factory=dict)
    """The output with the new value of each parameter ``layer:index`` that the forward pass itself moves."""

    @property
    def input_names(self) -> list[str]:
        return [i.name for i in self.skeleton.graph.input]

    @property
    def output_names(self) -> list[str]:
        return [o.name for o in self.skeleton.graph.output]

    def is_free(self, name: str, axis: int) -> bool:
        """Whether a size of an input is symbolic. False for an axis that it does not have."""
        (info,) = (i for i in self.skeleton.graph.input if i.name == name)
        dims = info.type.tensor_type.shape.dim
        return axis < len(dims) and not dims[axis].HasField("dim_value")

    def telling(self, entries: Mapping[str, str]) -> Graph:
        """The graph with these entries in its metadata, in place of those of the same keys."""
        skeleton = onnx.ModelProto()
        skeleton.CopyFrom(self.skeleton)
        kept = [entry for entry in skeleton.metadata_props if entry.key not in entries]
        del skeleton.metadata_props[:]
        skeleton.metadata_props.extend(kept)
        skeleton.MergeFrom(properties(entries))
        return replace(self, skeleton=skeleton)

    def to_model(self) -> onnx.ModelProto:
        """The complete model, with a copy of every weight inside."""
        model = onnx.ModelProto()
        model.CopyFrom(self.skeleton)
        for index, initializer in enumerate(model.graph.initializer):
            if initializer.name in self.weights:
                model.graph.initializer[index].CopyFrom(
                    tensor(initializer.name, self.weights[initializer.name])
                )
        model.MergeFrom(properties(digests(self.sources)))
        return model

    def check(self) -> None:
        """Run ``onnx.checker``, and strict shape inference, once; weights are checked as inputs of
        their shapes, which costs no copy of them. A runtime's own operators, which it looks for among those
        of ONNX, are not checked."""
        model = with_named_domains(self.skeleton)
        kept = [i for i in model.graph.initializer if i.name not in self.weights]
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        declared = {i.name for i in model.graph.input}
        model.graph.input.extend(
            tensor_info(name, array.shape, array.dtype)
            for name, array in self.weights.items()
            if name not in declared
        )
        onnx.checker.check_model(model)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)

    def save(self, path: str | os.PathLike[str], *, external: bool = False) -> None:
        """Write the complete model to one file, at once or not at all. Each weight is streamed, and the
        sources are digested meanwhile: the digests come last. With ``external`` the large weights go to a
        second file beside it, of the same name with ``.data`` behind it: both take their names, or none.
        Raises OSError, WeightsError, and UnsupportedError for one file beyond the 2 GiB that protobuf can
        hold and for a second one whose name is no UTF-8."""
        if not external or not self.weights:
            with replacing(path) as file:
                self._write(file)
            return
        data = Path(f"{os.fspath(path)}.data")
        if not is_utf8(data.name):
            raise UnsupportedError(
                f"{os.fspath(path)}: a name that is no UTF-8, which the model cannot call its second file by"
            )
        with replacing_paths(path, data) as (of_model, of_data):
            with writing(of_data, data) as file:
                graph = self._with_external_data(file, data.name)
            with writing(of_model, path) as file:
                graph._write(file)

    def _write(self, file: OutputFile) -> None:
        """The complete model, and behind it the digests of the sources."""
        found = Background(digests, self.sources)
        try:
            self._stream(file)
        finally:
            found.wait()
        file.write(properties(found.result()).SerializeToString())

    def _with_external_data(self, file: OutputFile, name: str) -> Graph:
        """The graph whose weights were written to a file of that name, in order, each at a multiple of a
        page."""
        skeleton = onnx.ModelProto()
        skeleton.CopyFrom(self.skeleton)
        file.reserve(sum(array.nbytes for array in self.weights.values()))
        for initializer in skeleton.graph.initializer:
            if initializer.name in self.weights:
                array = self.weights[initializer.name]
                file.write(bytes(-file.tell() % _PAGE))
                place_outside(initializer, name, file.tell(), array.nbytes)
                for chunk in chunks(array):
                    file.write(chunk)
        return replace(self, skeleton=skeleton, weights={})

    def _stream(self, file: OutputFile) -> None:
        """The wire format of ModelProto: its graph comes last, and in it the weights."""
        body = onnx.ModelProto()
        body.CopyFrom(self.skeleton)
        body.ClearField("graph")
        graph = onnx.GraphProto()
        graph.CopyFrom(self.skeleton.graph)
        headers = [i for i in graph.initializer if i.name in self.weights]
        small = [i for i in graph.initializer if i.name not in self.weights]
        del graph.initializer[:]
        graph.initializer.extend(small)
        head = graph.SerializeToString()
        pieces = [_header(i, self.weights[i.name]) for i in headers]
        total = len(head) + sum(
            len(p) + self.weights[i.name].nbytes for p, i in zip(pieces, headers, strict=True)
        )
        if total > _MOST:
            raise UnsupportedError(
                f"{total:,} bytes in one ONNX file, which holds at most {_MOST:,}; --external-data"
                " keeps the weights in a second one"
            )
        file.reserve(total)
        file.write(body.SerializeToString())
        file.write(prefix(_MODEL_GRAPH, total) + head)
        for piece, initializer in zip(pieces, headers, strict=True):
            file.write(piece)
            for chunk in chunks(self.weights[initializer.name]):
                file.write(chunk)


_MOST = 2**31 - 1
_PAGE = 4096
_MODEL_GRAPH = onnx.ModelProto.GRAPH_FIELD_NUMBER
_GRAPH_INITIALIZER = onnx.GraphProto.INITIALIZER_FIELD_NUMBER
_TENSOR_RAW_DATA = onnx.TensorProto.RAW_DATA_FIELD_NUMBER


def _header(initializer: onnx.TensorProto, array: npt.NDArray[Any]) -> bytes:
    """The bytes of one initializer up to its data, lengths included."""
    bare = onnx.TensorProto(dims=array.shape, data_type=initializer.data_type, name=initializer.name)
    inside = bare.SerializeToString() + prefix(_TENSOR_RAW_DATA, array.nbytes)
    return prefix(_GRAPH_INITIALIZER, len(inside) + array.nbytes) + inside


def is_outside(initializer: onnx.TensorProto) -> bool:
    """Whether an initializer's bytes are kept beside the skeleton."""
    return initializer.data_location == onnx.TensorProto.EXTERNAL


def initializers(
    arrays: Mapping[str, npt.NDArray[Any]],
) -> tuple[list[onnx.TensorProto], dict[str, npt.NDArray[Any]]]:
    """Initializers for ``arrays``: small ones with their bytes, large ones declared and kept beside."""
    large = {name: a for name, a in arrays.items() if a.nbytes >= LARGE}
    protos = [declared_tensor(n, a) if n in large else tensor(n, a) for n, a in arrays.items()]
    return protos, large
