"""ShuffleChannel: the channels of all groups in turns (ShuffleNet's layer; not from BVLC Caffe).

Source: farmingyard/ShuffleNet, field ``shuffle_channel_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Layer, Needed, Referenced, Shapes, register


@register
@dataclass(frozen=True)
class ShuffleChannel(Layer[npt.NDArray[np.int64]]):
    """Bottom and top (N, C, ...): first the first channel of each of ``group`` groups, then the second
    of each, and so on."""

    type = "ShuffleChannel"
    origin = "ShuffleNet"

    group: int = 1

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ShuffleChannel:
        group = param.shuffle_channel_param.group
        if group < 1:
            raise NetError("group must be greater than 0")
        return cls(group)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if len(shape) < 2:
            raise ShapeError(f"bottom[0] must have channels, got shape {shape}")
        if shape[1] % self.group:
            raise ShapeError(f"Wrong group size. ({shape[1]} channels in {self.group} groups)")
        return (shape,)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[npt.NDArray[np.int64]]:
        (x,) = bottoms
        (channels,) = Value(x.name, x.dims[1:2]).shape
        source = np.arange(channels).reshape(self.group, -1).T.reshape(-1)
        top = g.op("Gather", x.name, g.const(source, np.int64), axis=1)
        return Emitted((top,), saved=source)

    def grad(
        self, g: GraphBuilder, saved: npt.NDArray[np.int64], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        return Gradients((g.op("Gather", dy, g.const(np.argsort(saved), np.int64), axis=1),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        y = np.empty_like(x)
        size = x.shape[1] // self.group
        for channel in range(x.shape[1]):
            group, place = divmod(channel, size)
            y[:, place * self.group + group] = x[:, channel]
        return Referenced((y,))
