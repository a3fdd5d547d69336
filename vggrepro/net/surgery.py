"""Net surgery: pure functions from Net to Net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Layer
from vggrepro.layers.flatten import Flatten
from vggrepro.layers.inner_product import InnerProduct
from vggrepro.net.net import Net, NetLayer, infer_shapes


def fully_convolutional(net: Net) -> Net:
    """Fully connected layers become convolutions, so that the net applies to images of any size.

    The first one, over maps of H x W, becomes an H x W convolution, the following ones 1x1
    (section 3.2 of the paper). A Flatten between maps and a fully connected layer disappears.
    Raises UnsupportedError for a fully connected layer that is not over channels, height and width.
    """
    maps: dict[str, Shape] = {}  # what a value's shape is once its layer is convolutional
    replaced: dict[str, Layer] = {}
    params: dict[str, npt.NDArray[np.float32]] = {}
    forwarded: dict[str, str] = {}
    for placed in net.layers:
        if isinstance(placed.layer, InnerProduct):
            bottom = maps.get(placed.bottoms[0], net.shapes[placed.bottoms[0]])
            replaced[placed.name] = _convolution(placed, bottom)
            params.update(_kernels(net, placed, bottom))
            maps[placed.tops[0]] = (*bottom[:1], placed.layer.num_output, 1, 1)
        elif isinstance(placed.layer, Flatten) and len(net.shapes[placed.bottoms[0]]) == 4:
            maps[placed.tops[0]] = maps.get(placed.bottoms[0], net.shapes[placed.bottoms[0]])
            forwarded[placed.tops[0]] = placed.bottoms[0]
        else:
            _follow(placed, net.shapes, maps)
    if not replaced:
        return net
    layers = tuple(
        _rewire(p, replaced, forwarded)
        for p in net.layers
        if p.tops[:1] and p.tops[0] not in forwarded or not p.tops
    )
    return _rebuilt(net, layers, params, forwarded)


def _convolution(placed: NetLayer, bottom: Shape) -> Layer:
    assert isinstance(placed.layer, InnerProduct)
    try:
        return placed.layer.as_convolution(bottom)
    except UnsupportedError as error:
        raise UnsupportedError(f"layer {placed.name!r}: {error}") from error


def _kernels(net: Net, placed: NetLayer, bottom: Shape) -> dict[str, npt.NDArray[np.float32]]:
    """The layer's weights (K, C*H*W) as kernels (K, C, H, W), by the owner's key."""
    assert isinstance(placed.layer, InnerProduct)
    weight, *bias = placed.params
    matrix = net.params[weight.key]
    rows = matrix.T if placed.layer.transpose else matrix
    shape = (placed.layer.num_output, *(bottom[1:] if len(bottom) == 4 else (bottom[1], 1, 1)))
    return {weight.owner: rows.reshape(shape), **{use.owner: net.params[use.key] for use in bias}}


def _follow(placed: NetLayer, shapes: Mapping[str, Shape], maps: dict[str, Shape]) -> None:
    """Carry the knowledge through a layer that keeps its bottom's shape: ReLU, Dropout, Softmax."""
    if placed.bottoms and placed.bottoms[0] in maps:
        for top in placed.tops:
            if shapes[top] == shapes[placed.bottoms[0]]:
                maps[top] = maps[placed.bottoms[0]]


def _rewire(placed: NetLayer, replaced: Mapping[str, Layer], forwarded: Mapping[str, str]) -> NetLayer:
    bottoms = tuple(_source(b, forwarded) for b in placed.bottoms)
    return replace(placed, bottoms=bottoms, layer=replaced.get(placed.name, placed.layer))


def _source(value: str, forwarded: Mapping[str, str]) -> str:
    while value in forwarded:
        value = forwarded[value]
    return value


def _rebuilt(
    net: Net, layers: tuple[NetLayer, ...], params: Mapping[str, Any], forwarded: Mapping[str, str]
) -> Net:
    """The net around changed layers: shapes and parameter definitions follow from the layers."""
    shapes = infer_shapes(layers, net.inputs)
    placed = tuple(
        replace(
            p,
            params=tuple(
                replace(use, definition=definition)
                for use, definition in zip(
                    p.params, p.layer.param_defs([shapes[b] for b in p.bottoms]), strict=True
                )
            ),
        )
        for p in layers
    )
    blobs = {blob: _source(value, forwarded) for blob, value in net.blobs.items()}
    changed = replace(
        net,
        layers=placed,
        shapes=shapes,
        blobs=blobs,
        outputs={blob: shapes[blobs[blob]] for blob in net.outputs},
    )
    return changed.with_params(params)
