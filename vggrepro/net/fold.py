"""Folding BatchNorm and Scale into the convolution before them, for inference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import NetParameter
from vggrepro.layers.batch_norm import BatchNorm, global_affine
from vggrepro.layers.convolution import Convolution
from vggrepro.layers.inner_product import InnerProduct
from vggrepro.layers.scale import Scale
from vggrepro.net.net import Net, build
from vggrepro.net.placed import NetLayer

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Chain:
    """A convolution (or fully connected layer) and the BatchNorm and Scale that follow it alone."""

    product: NetLayer
    followers: tuple[NetLayer, ...]


def fold_batchnorm(net: Net) -> Net:
    """The same function of the inputs with every foldable BatchNorm and Scale gone.

    Foldable: a Scale with parameters along the channels, or a BatchNorm with global statistics, that
    is the only reader of a Convolution's or InnerProduct's top (or of a folded one's), none of them
    with shared parameters. The sums run in float64. Equal to the unfolded net within float32
    rounding; blobs between the folded layers are gone.
    """
    chains = list(_chains(net))
    folded = {p.name: chain for chain in chains for p in (chain.product, *chain.followers)}
    if not folded:
        return net
    message = NetParameter(name=net.message.name)
    params: dict[str, Floats] = {}
    for placed in net.layers:
        chain = folded.get(placed.name)
        if chain is None:
            message.layer.add().CopyFrom(placed.message)
            params.update({use.owner: net.params[use.key] for use in placed.params})
        elif placed is chain.product:
            message.layer.add().CopyFrom(_with_bias(chain))
            params.update(_folded(net, chain))
    rebuilt = build(message, net.phase, net.inputs)
    return replace(rebuilt.with_params(params), sources=net.sources, loaded=frozenset(params))


def _chains(net: Net) -> Iterator[_Chain]:
    for placed in net.layers:
        if isinstance(placed.layer, Convolution | InnerProduct) and len(placed.tops) == 1 and _alone(placed):
            followers = tuple(_followers(net, placed))
            if followers:
                yield _Chain(placed, followers)


def _followers(net: Net, placed: NetLayer) -> Iterator[NetLayer]:
    while True:
        readers = net.readers(placed.tops[0])
        if len(readers) != 1 or placed.tops[0] in net.outputs or not _foldable(readers[0]):
            return
        placed = readers[0]
        yield placed


def _foldable(placed: NetLayer) -> bool:
    layer = placed.layer
    if len(placed.bottoms) != 1 or not _alone(placed):
        return False
    if isinstance(layer, BatchNorm):
        return layer.use_global_stats
    return isinstance(layer, Scale) and layer.axis == 1 and layer.num_axes == 1


def _alone(placed: NetLayer) -> bool:
    return not any(spec.name for spec in placed.message.param)


def _with_bias(chain: _Chain) -> Any:
    """The product's message with a bias, and with the last follower's top as its own."""
    message = type(chain.product.message)()
    message.CopyFrom(chain.product.message)
    kind = message.convolution_param if message.type == "Convolution" else message.inner_product_param
    kind.bias_term = True
    message.top[:] = [chain.followers[-1].message.top[0]]
    return message


def _folded(net: Net, chain: _Chain) -> dict[str, Floats]:
    """y = W x + b, then s * y + t for each follower: W becomes s W and b becomes s b + t."""
    product = chain.product
    weight, *bias = (net.params[use.key].astype(np.float64) for use in product.params)
    outputs = net.shapes[product.tops[0]][1]
    shift = bias[0] if bias else np.zeros(outputs)
    factor = np.ones(outputs)
    for placed in chain.followers:
        s, t = _affine(net, placed, outputs)
        factor, shift = s * factor, s * shift + t
    transposed = isinstance(product.layer, InnerProduct) and product.layer.transpose
    axis = weight.ndim - 1 if transposed else 0
    spread = factor.reshape([outputs if a == axis else 1 for a in range(weight.ndim)])
    return {
        f"{product.name}:0": (weight * spread).astype(np.float32),
        f"{product.name}:1": shift.astype(np.float32),
    }


def _affine(
    net: Net, placed: NetLayer, channels: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    blobs = [net.params[use.key].astype(np.float64) for use in placed.params]
    if isinstance(placed.layer, BatchNorm):
        return global_affine(blobs, placed.layer.eps)
    return blobs[0], blobs[1] if len(blobs) > 1 else np.zeros(channels)
