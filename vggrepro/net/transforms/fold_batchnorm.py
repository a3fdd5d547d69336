"""Folding BatchNorm, Scale and Bias into the convolution before them, for inference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.layers.base import Affine
from vggrepro.layers.rules.product import ProductLayer
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer
from vggrepro.net.transforms.rewrite import copy_of, rewritten


@dataclass(frozen=True)
class _Chain:
    """A convolution (or fully connected layer) and those behind it that are folded into it."""

    product: NetLayer
    layer: ProductLayer[Any]
    followers: tuple[NetLayer, ...]
    affines: tuple[Affine, ...]
    """The factor and the summand of each follower."""
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
    gone = {net_layer.name for chain in chains for net_layer in chain.followers}
    layers, params = [], {}
    for net_layer in net.layers:
        if net_layer.name in products:
            layers.append(_with_bias(products[net_layer.name]))
            params.update(_folded(net, products[net_layer.name]))
        elif net_layer.name not in gone:
            layers.append(net_layer.message)
    return rewritten(net, layers, params) if chains else net


def _chains(net: Net) -> Iterator[_Chain]:
    for net_layer in net.layers:
        layer = net_layer.layer
        if isinstance(layer, ProductLayer) and len(net_layer.tops) == 1 and _alone(net_layer):
            shape = net.shapes[net_layer.tops[0]]
            axis = layer.output_axis(len(shape))
            found = list(_followers(net, net_layer, axis))
            if found:
                followers, affines = zip(*found, strict=True)
                yield _Chain(net_layer, layer, followers, affines, shape[axis])


def _followers(net: Net, product: NetLayer, axis: int) -> Iterator[tuple[NetLayer, Affine]]:
    """The foldable layers behind a product, each the only reader of the one before, with what each does."""
    value = product.tops[0]
    while True:
        readers = net.readers(value)
        if len(readers) != 1 or len(readers[0].bottoms) != 1 or not _alone(readers[0]):
            return
        (reader,) = readers
        affine = reader.layer.affine([net.params[u.key] for u in reader.params], len(net.shapes[value]), axis)
        if affine is None:
            return
        yield reader, affine
        value = reader.tops[0]


def _alone(net_layer: NetLayer) -> bool:
    return not any(spec.name for spec in net_layer.message.param)


def _with_bias(chain: _Chain) -> Any:
    """The product's message with a bias, and with the last follower's top as its own."""
    message = copy_of(chain.product.message)
    chain.layer.own(message).bias_term = True
    message.top[:] = chain.followers[-1].message.top
    return message


def _folded(net: Net, chain: _Chain) -> dict[str, npt.NDArray[np.float32]]:
    """y = W x + b, then s * y + t for each follower: W becomes s W and b becomes s b + t."""
    product = chain.product
    weight, *bias = (net.params[use.key].astype(np.float64) for use in product.params)
    factor, shift = np.ones(chain.outputs), bias[0] if bias else np.zeros(chain.outputs)
    for scale, offset in chain.affines:
        factor, shift = scale * factor, scale * shift + offset
    return {
        f"{product.name}:0": chain.layer.scaled(weight, factor).astype(np.float32),
        f"{product.name}:1": np.asarray(shift, np.float32),
    }
