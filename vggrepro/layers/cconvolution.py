"""CConvolution, CInnerProduct: products with weights that are left out by a mask (layers of pruning forks;
not from BVLC Caffe).

Sources: yiwenguo/Dynamic-Network-Surgery, with masks of weight and bias, and NHZlX/Auto_pruning, with one of
the weight; both in the fields ``cconvolution_param`` and ``cinner_product_param``. "Dynamic Network Surgery
for Efficient DNNs".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import (
    AnyLayer,
    Array,
    Count,
    Emitted,
    Layer,
    ParamDef,
    Reach,
    Referenced,
    Shapes,
    at_least,
    exactly,
    register,
)
from vggrepro.layers.convolution import Convolution
from vggrepro.layers.inner_product import InnerProduct
from vggrepro.layers.rules.product import ProductLayer

SURGERY = frozenset({"gamma", "power", "c_rate", "bias_mask_filler"})
AUTO_PRUNING = frozenset({"is_pruning", "upper_bound", "inter_iter"})
"""The fields that tell which fork's a layer is."""


@dataclass(frozen=True)
class _Masked(Layer[None]):
    """A layer whose weight, and with ``masks_bias`` whose bias, is multiplied by a mask of its shape. The
    masks are the last of its parameters. What forks do to the masks in TRAIN is not implemented."""

    origin = "pruning forks"
    has_gradient = False
    kind: ClassVar[type[ProductLayer[Any]]]
    field: ClassVar[str]

    inner: AnyLayer
    masks_bias: bool
    weight_mask_filler: Any
    bias_mask_filler: Any

    @classmethod
    def from_param(cls, param: Any, phase: int) -> _Masked:
        if phase == TRAIN:
            raise UnsupportedError(
                f"{cls.type} is implemented for the phase TEST alone: in TRAIN it decides which weights to"
                f" prune; {cls.kind.type} learns without that"
            )
        p = getattr(param, cls.field)
        given = {field.name for field, _ in p.ListFields()}
        if bool(given & SURGERY) == bool(given & AUTO_PRUNING):
            raise UnsupportedError(
                f"{cls.field}: expected gamma, power, c_rate or bias_mask_filler, as in"
                " Dynamic-Network-Surgery with masks of weight and bias, or is_pruning, upper_bound or"
                " inter_iter, as in Auto_pruning with a mask of the weight; got"
                f" {', '.join(sorted(given)) or 'nothing'}"
            )
        surgery = bool(given & SURGERY)
        if not cls.kind.own(param).bias_term and (surgery or cls.kind is InnerProduct):
            raise UnsupportedError(f"{cls.type} with bias_term: false, for which the fork has no mask")
        inner = cls.kind.from_param(param, phase)
        return cls(inner, surgery, p.weight_mask_filler, p.bias_mask_filler)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return self.inner.out_shapes(bottoms)

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        return self.inner.fixed_axes(bottoms)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        masked = self.inner.param_defs(bottoms)
        masks = [ParamDef(masked[0].shape, self.weight_mask_filler)]
        if self.masks_bias:
            masks.append(ParamDef(masked[1].shape, self.bias_mask_filler))
        return (*masked, *masks)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        own, masks = self._apart(params)
        masked = [Value(g.op("Mul", p.name, m.name), p.dims) for p, m in zip(own, masks, strict=False)]
        inner = self.inner.emit(g, bottoms, [*masked, *own[len(masks) :]], states)
        return Emitted(inner.tops, None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        own, masks = self._apart(params)
        masked = [p * m for p, m in zip(own, masks, strict=False)]
        return self.inner.reference(bottoms, [*masked, *own[len(masks) :]], states)

    def _apart(self, params: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The parameters of the layer that is masked, and the masks."""
        count = 1 + self.masks_bias
        return list(params[:-count]), list(params[-count:])

    def macs(self, bottoms: Shapes) -> int:
        return self.inner.macs(bottoms)

    def reach(self, bottom: Shape) -> Reach | None:
        return self.inner.reach(bottom)

    @classmethod
    def fillers(cls, definition: Any) -> tuple[Any, Any] | None:
        return cls.kind.fillers(definition)


@register
@dataclass(frozen=True)
class CConvolution(_Masked):
    """A Convolution with ``weight * mask``, of the same bottoms and tops. Parameters: weight, bias, and the
    masks of both or of the weight."""

    type = "CConvolution"
    bottoms: ClassVar[Count] = at_least(1)
    tops: ClassVar[Count] = at_least(1)
    kind = Convolution
    field = "cconvolution_param"


@register
@dataclass(frozen=True)
class CInnerProduct(_Masked):
    """An InnerProduct with ``weight * mask``."""

    type = "CInnerProduct"
    bottoms: ClassVar[Count] = exactly(1)
    tops: ClassVar[Count] = exactly(1)
    kind = InnerProduct
    field = "cinner_product_param"
