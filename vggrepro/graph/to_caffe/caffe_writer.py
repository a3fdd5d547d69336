"""``CaffeWriter``: the Caffe net that the nodes of an ONNX graph are written to, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import LayerParameter, NetParameter
from vggrepro.emit import Shape
from vggrepro.errors import UnsupportedError
from vggrepro.graph.targets.draft import Place

Array = npt.NDArray[Any]


@dataclass
class CaffeWriter:
    """A ``NetParameter`` under construction, its parameters by layer, and the blob of each tensor."""

    message: NetParameter = field(default_factory=NetParameter)
    blobs: dict[str, list[Array]] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)
    """Tensors that are other tensors' values: the blob that holds them."""
    zeros: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """Tensors with zeros around the blob that they stand for: how many before and behind each spatial
    axis."""
    taken: set[str] = field(default_factory=set)

    def blob_of(self, tensor: str) -> str:
        return self.tensors.get(tensor, tensor)

    def name(self, wanted: str) -> str:
        """A name that no layer and no blob has."""
        name, count = wanted, 1
        while name in self.taken:
            count += 1
            name = f"{wanted}_{count}"
        self.taken.add(name)
        return name

    def layer(
        self,
        kind: str,
        bottoms: Sequence[str],
        tops: Sequence[str],
        blobs: Sequence[Array] = (),
        name: str | None = None,
    ) -> LayerParameter:
        """Append a layer. It is named after its first top, unless that name is taken."""
        layer = self.message.layer.add(name=self.name(name or tops[0]), type=kind)
        layer.bottom.extend(map(self.blob_of, bottoms))
        layer.top.extend(tops)
        if blobs:
            self.blobs[layer.name] = [np.ascontiguousarray(blob, np.float32) for blob in blobs]
        return layer


@dataclass(frozen=True)
class Reading:
    """A node to write: what a rule asks it, with errors that name its operator and place."""

    place: Place
    out: CaffeWriter

    @property
    def attributes(self) -> Mapping[str, Any]:
        return self.place.attributes

    @property
    def top(self) -> str:
        return self.place.node.output[0]

    @property
    def bottom(self) -> str:
        return self.blob(0)

    def blob(self, index: int) -> str:
        """An input that is no constant."""
        if self.place.array(index) is not None or not self.place.input(index):
            raise self.refusal(f"input {index} is a constant, or missing")
        return self.place.input(index)

    def constant(self, index: int) -> Array:
        array = self.place.array(index)
        if array is None:
            raise self.refusal(f"input {index} is no constant")
        return array

    def number(self, index: int) -> float:
        """An input that is a constant of one number."""
        array = self.constant(index)
        if array.size != 1:
            raise self.refusal(f"input {index} has shape {array.shape}, expected one number")
        return float(array.item())

    def shape(self, index: int = 0) -> Shape:
        shape = self.place.shape(index)
        if shape is None:
            raise self.refusal(f"the sizes of input {index} are not known; --input-shape fixes the net's")
        return shape

    @property
    def top_shape(self) -> Shape:
        shape = self.place.out_shape()
        if shape is None:
            raise self.refusal("the sizes of the output are not known; --input-shape fixes the net's")
        return shape

    def refusal(self, problem: str) -> UnsupportedError:
        node = self.place.node
        name = node.name or self.top
        return UnsupportedError(f"node {name!r}: operator {node.op_type} cannot be said in Caffe: {problem}")

    def write(
        self, kind: str, blobs: Sequence[Array] = (), bottoms: Sequence[str] | None = None
    ) -> LayerParameter:
        """One layer for the node, from its first input to its first output."""
        return self.out.layer(kind, [self.bottom] if bottoms is None else bottoms, [self.top], blobs)

    def inner(self, hint: str) -> str:
        """The name of a blob between two layers of the node."""
        return self.out.name(f"{self.top}_{hint}")

    def axes(self) -> tuple[int, ...] | None:
        """``axes``: an attribute in older operator sets, the second input in newer ones; None for all."""
        given = self.attributes.get("axes")
        if given is None and self.place.input(1):
            given = self.constant(1).tolist()
        rank = len(self.shape())
        return None if given is None else tuple(int(a) % rank for a in given)
