"""A layer in its place in a net."""

from __future__ import annotations

from dataclasses import dataclass

from vggrepro.caffe.messages import LayerParameter
from vggrepro.layers.base import AnyLayer, ParamDef


@dataclass(frozen=True)
class ParamUse:
    """One parameter of one layer. ``owner`` is the key of the layer that holds a shared one.

    ``needs_gradient`` is this layer's own say (its lr_mult is not 0); the multipliers of a shared
    parameter are those that all its layers agree on.
    """

    key: str
    owner: str
    definition: ParamDef
    lr_mult: float
    decay_mult: float
    needs_gradient: bool


@dataclass(frozen=True)
class NetLayer:
    """A layer in its place: the values it reads and writes, its parameters, its loss weights."""

    name: str
    layer: AnyLayer
    message: LayerParameter
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: tuple[ParamUse, ...]
    loss_weights: tuple[float, ...]

    @property
    def place(self) -> str:
        """How messages name the layer."""
        return place_of(self.message)

    @property
    def propagate_down(self) -> tuple[bool, ...]:
        return tuple(self.message.propagate_down)


def place_of(definition: LayerParameter) -> str:
    """How messages name the layer of a ``LayerParameter``."""
    return f"layer {definition.name!r}"
