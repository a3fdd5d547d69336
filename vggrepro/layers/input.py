"""Input: a blob that the caller feeds (Caffe's Input layer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.caffe.messages import LayerParameter
from vggrepro.emit import Shape
from vggrepro.errors import NetError
from vggrepro.layers.base import Shapes, at_least, register
from vggrepro.layers.rules.source import SourceLayer


@register
@dataclass(frozen=True)
class Input(SourceLayer):
    """One shape for each top, or one shape for all (``input_param.shape``)."""

    type = "Input"
    tops = at_least(1)

    shapes: tuple[Shape, ...] = ()

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Input:
        shapes = tuple(tuple(int(d) for d in shape.dim) for shape in param.input_param.shape)
        if len(shapes) not in (0, 1, len(param.top)):
            raise NetError(
                "Must specify 'shape' once, once per top blob, or not at all:"
                f" {len(param.top)} tops vs. {len(shapes)} shapes."
            )
        return cls(shapes * len(param.top) if len(shapes) == 1 else shapes)

    @classmethod
    def definition(cls, top: str, shape: Shape) -> Any:
        """The ``LayerParameter`` of an Input that has one top, which bears the layer's name."""
        definition = LayerParameter(name=top, type=cls.type, top=[top])
        definition.input_param.shape.add().dim.extend(shape)
        return definition

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return self.shapes

    def shapes_beside(self, first: Shape) -> tuple[Shape, ...]:
        return (first, *self.shapes[1:])
