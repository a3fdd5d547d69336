"""What convolutions and fully connected layers share: products with a learned weight, and a learned bias."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar

from vggrepro.layers.base import Array, Layer

S = TypeVar("S")
"""What the layer saves for its backward rule."""


class ProductLayer(Layer[S]):
    """A layer whose first parameter is a weight and whose second one, if there is one, is a bias."""

    @classmethod
    @abstractmethod
    def own(cls, definition: Any) -> Any:
        """The field of a ``LayerParameter`` with ``bias_term``, ``weight_filler`` and ``bias_filler``."""

    @classmethod
    def fillers(cls, definition: Any) -> tuple[Any, Any]:
        own = cls.own(definition)
        return own.weight_filler, own.bias_filler

    @abstractmethod
    def output_axis(self, rank: int) -> int:
        """The axis of a top of ``rank`` axes along which the outputs lie."""

    def scaled(self, weight: Array, factor: Array) -> Array:
        """The weight with which each output is ``factor`` (one number for each output) times as large."""
        return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
