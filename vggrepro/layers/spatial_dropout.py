"""SpatialDropout: in TRAIN each channel is zeroed with probability ``dropout_ratio`` (a layer of forks; not
from BVLC Caffe).

Sources: Intel Caffe and TimoSaemann/caffe-enet, fields ``dropout_param`` and ``spatial_dropout_param``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Shapes, register
from vggrepro.layers.dropout import Dropout
from vggrepro.layers.rules.bernoulli import Bernoulli
from vggrepro.layers.rules.neuron import indicator


@register
@dataclass(frozen=True)
class SpatialDropout(Dropout):
    """Bottom and top (N, C, ...): Dropout of which all elements of a channel of an item share a draw.

    DEVIATION: caffe-enet draws for the channels of one item, and takes what its buffer holds for the others.
    Here each item has draws of its own, as Intel Caffe has it.
    """

    type = "SpatialDropout"
    origin = "Intel, ENet"

    @classmethod
    def parameter(cls, param: Any) -> Any:
        return param.spatial_dropout_param if param.HasField("spatial_dropout_param") else param.dropout_param

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        if len(bottoms[0]) < 2:
            raise ShapeError(f"bottom[0] must be (N, C, ...), got shape {bottoms[0]}")
        return (bottoms[0],)

    def _kept(self, g: GraphBuilder, masks: Bernoulli, x: Value, state: str) -> str:
        places = x.rank - 2
        channels = Value(x.name, x.dims[:2])
        if None in channels.dims and places:  # a tensor of that shape tells the sizes
            channels = Value(g.op("ReduceMax", x.name, g.ints(range(2, x.rank)), keepdims=0), channels.dims)
        return g.op("Reshape", indicator(g, masks.emit(g, channels, state)), g.ints([0, 0, *[1] * places]))

    def _reference_kept(
        self, masks: Bernoulli, shape: Shape, state: npt.NDArray[Any]
    ) -> npt.NDArray[np.bool_]:
        return masks.draw(shape[0], shape[1], state).reshape(*shape[:2], *[1] * (len(shape) - 2))
