"""Net surgery: fully connected layers become convolutions (section 3.2 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TEST, LayerParameter
from vggrepro.emit import Shape
from vggrepro.errors import NetError, UnsupportedError, naming
from vggrepro.layers.base import AnyLayer
from vggrepro.layers.flatten import Flatten
from vggrepro.layers.inner_product import InnerProduct
from vggrepro.layers.reshape import Reshape
from vggrepro.layers.split import Split
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer
from vggrepro.net.shapes import PROBES, infer_shapes, probe
from vggrepro.net.transforms.rewrite import copy_of, rewritten

Arrays = Sequence[npt.NDArray[np.float64]]


def fully_convolutional(net: Net) -> Net:
    """The net that can be applied to images of any size: its fully connected layers as convolutions.

    The first one, over maps of H x W, becomes an H x W convolution, the following ones 1 x 1. A Flatten
    or Reshape between maps and a fully connected layer becomes a Split, which changes nothing. At
    the size of the net itself all values stay as they were, in the shape (N, K, 1, 1) instead of
    (N, K); on larger images each output is a map, and each of its places holds what the net gives on
    the window of the image that it sees.

    Raises UnsupportedError, naming the layer, for a fully connected layer that is not over channels,
    height and width, and for a layer behind one that would not do in every place of a map what it
    does to the vector (a loss, an accuracy, a Softmax over another axis).
    """
    if not any(isinstance(net_layer.layer, InnerProduct) for net_layer in net.layers):
        return net
    surgeon = _Surgeon(net)
    layers: list[Any] = []
    for net_layer in net.layers:
        with naming(net_layer.place):
            layers += surgeon.operate(net_layer)
    return rewritten(net, layers, surgeon.kernels)


class _Surgeon:
    def __init__(self, net: Net) -> None:
        self.net = net
        self.maps: dict[str, Shape] = {}
        """(C, H, W) of each value that was a vector of C * H * W elements, and is a map now."""
        self.kernels: dict[str, npt.NDArray[np.float32]] = {}
        self.flattened = _before_products(net)
        self.growing = _growing(net)
        """Values that are larger where the image is."""
        self.dense: set[str] = set()
        """Values that become so by the surgery."""

    def operate(self, net_layer: NetLayer) -> list[Any]:
        """The messages that take this layer's place."""
        layer, changed = net_layer.layer, [bottom in self.maps for bottom in net_layer.bottoms]
        if self.dense.intersection(net_layer.bottoms):
            self.dense.update(net_layer.tops)
        if isinstance(layer, InnerProduct) and (changed[0] or not self._over_vectors(net_layer)):
            return [self._convolution(net_layer, layer)]
        if isinstance(layer, Flatten | Reshape) and self._keeps_values(net_layer, changed[0]):
            return [Split.replacing(net_layer.message)]
        return self._follow(net_layer) if any(changed) else [net_layer.message]

    def _shape(self, value: str) -> Shape:
        """What a value's shape is behind the surgery, at the net's own input size."""
        shape = self.net.shapes[value]
        return (shape[0], *self.maps[value]) if value in self.maps else shape

    def _over_vectors(self, net_layer: NetLayer) -> bool:
        """Whether a fully connected layer is over (N, K), whatever the size of the image: it may stay."""
        shape = self.net.shapes[net_layer.bottoms[0]]
        return len(shape) == 2 and net_layer.layer.out_shapes([shape])[0][0] == shape[0]

    def _convolution(self, net_layer: NetLayer, layer: InnerProduct) -> Any:
        layer.as_convolution(self.net.shapes[net_layer.bottoms[0]])
        weight = net_layer.params[0]
        if layer.transpose and sum(use.owner == weight.owner for use in self.net.param_uses) > 1:
            raise UnsupportedError("a transposed weight that other layers share cannot become a kernel")
        matrix = self.net.params[weight.key]
        kernel = (layer.num_output, *self._shape(net_layer.bottoms[0])[1:])
        self.kernels[weight.owner] = (matrix.T if layer.transpose else matrix).reshape(kernel)
        self.maps[net_layer.tops[0]] = (layer.num_output, 1, 1)
        if net_layer.bottoms[0] in self.growing:
            self.dense.update(net_layer.tops)
        return layer.convolution_definition(net_layer.message, kernel)

    def _keeps_values(self, net_layer: NetLayer, changed: bool) -> bool:
        """Whether a Flatten or Reshape has nothing to do on maps; what its top is, is noted then."""
        shape, flat = self._shape(net_layer.bottoms[0]), self.net.shapes[net_layer.tops[0]]
        if not changed and (len(shape) != 4 or net_layer.tops[0] not in self.flattened):
            return False
        if flat == shape:
            return True
        if flat == (shape[0], math.prod(shape[1:])):
            self.maps[net_layer.tops[0]] = shape[1:]
        return net_layer.tops[0] in self.maps

    def _follow(self, net_layer: NetLayer) -> list[Any]:
        """Let a layer read maps where it read vectors, or give it the vectors of maps that never grow."""
        tops = self._tops_on_maps(net_layer)
        if tops is not None:
            self.maps.update(zip(net_layer.tops, tops, strict=True))
            return [net_layer.message]
        changed = [bottom for bottom in net_layer.bottoms if bottom in self.maps]
        if (self.growing | self.dense).intersection(changed):
            raise UnsupportedError(
                f"{net_layer.message.type} does not do in every place of a map what it"
                " does to the vector of a fully connected layer; the net cannot become fully convolutional"
            )
        message = copy_of(net_layer.message)
        flattens = []
        for index, (value, blob) in enumerate(zip(net_layer.bottoms, message.bottom, strict=True)):
            if value in self.maps:
                vector = f"{blob}/{net_layer.name}"
                flattens.append(LayerParameter(name=vector, type=Flatten.type, bottom=[blob], top=[vector]))
                message.bottom[index] = vector
        return [*flattens, message]

    def _tops_on_maps(self, net_layer: NetLayer) -> list[Shape] | None:
        """(C, H, W) of the tops, if the layer, given maps, computes in each window of H x W what it
        computes from that window as a vector. It is tried, by the layer's own reference."""
        bottoms = [self.maps.get(bottom, ()) for bottom in net_layer.bottoms]
        if () in bottoms or len({shape[1:] for shape in bottoms}) > 1:
            return None
        height, width = bottoms[0][1:]
        layer = type(net_layer.layer).from_param(
            net_layer.message, TEST
        )  # without chance or batch statistics
        rng = np.random.default_rng(0)
        maps = [rng.standard_normal((1, c, height + 1, width + 2)) for c, _, _ in bottoms]
        params = [self.net.params[use.key].astype(np.float64) for use in net_layer.params]
        whole = _apply(layer, maps, params)
        if whole is None or any(top.ndim != 4 or top.shape[2:] != maps[0].shape[2:] for top in whole):
            return None
        for y, x in ((0, 0), (1, 0), (1, 2)):
            window = np.s_[:, :, y : y + height, x : x + width]
            vectors = _apply(layer, [m[window].reshape(1, -1) for m in maps], params)
            if vectors is None or not all(
                np.allclose(top[window].reshape(1, -1), vector, rtol=1e-9, atol=1e-12)
                for top, vector in zip(whole, vectors, strict=True)
            ):
                return None
        return [(top.shape[1], height, width) for top in whole]


def _apply(layer: AnyLayer, bottoms: Arrays, params: Arrays) -> Arrays | None:
    """The layer's tops by its reference, or None if it does not take such bottoms with these parameters."""
    shapes = [bottom.shape for bottom in bottoms]
    try:
        layer.out_shapes(shapes)
        definitions = layer.param_defs(shapes)
    except NetError:
        return None
    if [d.shape for d in definitions] != [p.shape for p in params] or layer.state_defs(shapes):
        return None
    return layer.reference(bottoms, params, ()).tops


def _before_products(net: Net) -> frozenset[str]:
    """Values that a fully connected layer reads, at once or behind other layers."""
    found: set[str] = set()
    for net_layer in reversed(net.layers):
        if isinstance(net_layer.layer, InnerProduct) or found.intersection(net_layer.tops):
            found.update(net_layer.bottoms)
    return frozenset(found)


def _growing(net: Net) -> set[str]:
    """Values whose shape follows from the height or the width of the inputs; all, if that cannot be told."""
    for by in PROBES:
        try:
            grown = infer_shapes(net.layers, probe(net.inputs, frozenset({2, 3}), by))
        except NetError:
            continue
        return {value for value, shape in net.shapes.items() if grown[value] != shape}
    return set(net.shapes)
