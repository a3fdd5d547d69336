"""Folding BatchNorm, Scale and Bias into the convolution before them, for inference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.layers.base import canonical_axis
from vggrepro.layers.batch_norm import BatchNorm, global_affine
from vggrepro.layers.bias import Bias
from vggrepro.layers.convolution import BaseConvolution
from vggrepro.layers.deconvolution import Deconvolution
from vggrepro.layers.inner_product import InnerProduct
from vggrepro.layers.scale import Scale
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer
from vggrepro.net.transforms.rewrite import copy_of, rewritten

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Chain:
    """A convolution (or fully connected layer) and those behind it that are folded into it."""

    product: NetLayer
    followers: tuple[NetLayer, ...]
    outputs: int


def fold_batchnorm(net: Net) -> Net:
    """The same function of the inputs with every foldable BatchNorm, Scale and Bias gone.

    Foldable: a BatchNorm with global statistics, or a Scale or Bias with learned values along the
    channels alone, that is the only reader of what a Convolution, Deconvolution or InnerProduct
    (or one that was folded into it) gives; none of them with shared parameters. The new parameters are
    computed in float64. The net's outputs agree within float32 rounding; blobs between the folded layers
    are gone, and the last one keeps its name.
    """
    chains = list(_chains(net))
    products = {chain.product.name: chain for chain in chains}
    gone = {placed.name for chain in chains for placed in chain.followers}
    layers, params = [], {}
    for placed in net.layers:
        if placed.name in products:
            layers.append(_with_bias(products[placed.name]))
            params.update(_folded(net, products[placed.name]))
        elif placed.name not in gone:
            layers.append(placed.message)
    return rewritten(net, layers, params) if chains else net


def _chains(net: Net) -> Iterator[_Chain]:
    for placed in net.layers:
        axis = _channel_axis(net, placed)
        if axis is not None and len(placed.tops) == 1 and _alone(placed):
            followers = tuple(_followers(net, placed, axis))
            if followers:
                yield _Chain(placed, followers, net.shapes[placed.tops[0]][axis])


def _channel_axis(net: Net, placed: NetLayer) -> int | None:
    """The axis of the top along which the layer has its outputs, if it is a product with weights."""
    rank = len(net.shapes[placed.tops[0]]) if placed.tops else 0
    if isinstance(placed.layer, BaseConvolution):
        return canonical_axis(placed.layer.axis, rank, placed.layer.type)
    return rank - 1 if isinstance(placed.layer, InnerProduct) else None


def _followers(net: Net, placed: NetLayer, axis: int) -> Iterator[NetLayer]:
    """The foldable layers behind this one, each the only reader of the one before."""
    readers = net.readers(placed.tops[0])
    while len(readers) == 1 and _foldable(readers[0], len(net.shapes[placed.tops[0]]), axis):
        placed = readers[0]
        yield placed
        readers = net.readers(placed.tops[0])


def _foldable(placed: NetLayer, rank: int, axis: int) -> bool:
    layer = placed.layer
    if len(placed.bottoms) != 1 or not _alone(placed):
        return False
    if isinstance(layer, BatchNorm):
        return layer.use_global_stats and axis == 1
    return isinstance(layer, Scale | Bias) and layer.operand.covered(
        rank, len(placed.params[0].definition.shape)
    ) == range(axis, axis + 1)


def _alone(placed: NetLayer) -> bool:
    return not any(spec.name for spec in placed.message.param)


def _with_bias(chain: _Chain) -> Any:
    """The product's message with a bias, and with the last follower's top as its own."""
    message = copy_of(chain.product.message)
    product = isinstance(chain.product.layer, InnerProduct)
    kind = message.inner_product_param if product else message.convolution_param
    kind.bias_term = True
    message.top[:] = chain.followers[-1].message.top
    return message


def _folded(net: Net, chain: _Chain) -> dict[str, npt.NDArray[np.float32]]:
    """y = W x + b, then s * y + t for each follower: W becomes s W and b becomes s b + t."""
    product = chain.product
    weight, *bias = (net.params[use.key].astype(np.float64) for use in product.params)
    factor, shift = np.ones(chain.outputs), bias[0] if bias else np.zeros(chain.outputs)
    for placed in chain.followers:
        scale, offset = _affine(net, placed)
        factor, shift = scale * factor, scale * shift + offset
    return {
        f"{product.name}:0": _scaled(product, weight, factor).astype(np.float32),
        f"{product.name}:1": np.asarray(shift, np.float32),
    }


def _affine(net: Net, placed: NetLayer) -> tuple[Array | int, Array | int]:
    """The s and t of a follower."""
    blobs = [net.params[use.key].astype(np.float64) for use in placed.params]
    if isinstance(placed.layer, BatchNorm):
        return global_affine(blobs, placed.layer.eps)
    if isinstance(placed.layer, Bias):
        return 1, blobs[0]
    return blobs[0], blobs[1] if len(blobs) > 1 else 0


def _scaled(product: NetLayer, weight: Array, factor: Array) -> Array:
    """The weight with the part of each output times its factor."""
    layer = product.layer
    if isinstance(layer, Deconvolution):  # (C, K / group, kernel...), a group after another in C
        groups = weight.reshape(layer.group, -1, *weight.shape[1:])
        spread = factor.reshape(layer.group, 1, -1, *[1] * (weight.ndim - 2))
        return (groups * spread).reshape(weight.shape)
    if isinstance(layer, InnerProduct) and layer.transpose:
        return weight * factor
    return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
