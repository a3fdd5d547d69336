"""Convolution3D and Deconvolution3D over time, height and width (layers of C3D; not from BVLC Caffe).

Source: facebookarchive/C3D, ``convolution_param`` with ``kernel_depth``, ``temporal_stride`` and
``temporal_pad`` in 1.0, ``convolution3d_param`` in 1.1; "Learning Spatiotemporal Features with 3D
Convolutional Networks".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from vggrepro.emit import Shape
from vggrepro.errors import NetError
from vggrepro.layers.base import ParamDef, Shapes, exactly, register
from vggrepro.layers.convolution import Convolution
from vggrepro.layers.deconvolution import Deconvolution
from vggrepro.layers.rules.base_convolution import BaseConvolution
from vggrepro.layers.rules.temporal import check_axes, temporal_message, temporal_param, triple
from vggrepro.layers.rules.window import WindowParam

L = TypeVar("L", bound=BaseConvolution)

MESSAGES = "convolution3d_param", "convolution_param"


def _parse(kind: type[L], definition: Any, bias_term: bool) -> L:
    """``group`` is not read, and ``filter_group`` says how many filters C3D takes at a time."""
    p = temporal_param(definition, *MESSAGES)
    if p.num_output == 0 or p.filter_group == 0 or p.num_output % p.filter_group:
        raise NetError(f"{kind.type}: num_output {p.num_output} must be a multiple of {p.filter_group}")
    window = WindowParam.of_kernel(*triple(p, "kernel_depth", "kernel_size", 0))
    given = dict(window.repeated)
    given["stride"] = triple(p, "temporal_stride", "stride", 1)
    given["pad"] = triple(p, "temporal_pad", "pad", 0)
    return kind(
        p.num_output,
        WindowParam(tuple(given.items()), ()),
        bias_term,
        weight_filler=p.weight_filler,
        bias_filler=p.bias_filler,
    )


class _OverTime(BaseConvolution):
    """What both have in common: where their parameters are, five axes, and how their files keep the bias."""

    @classmethod
    def own(cls, definition: Any) -> Any:
        return temporal_message(definition, *MESSAGES)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_axes(self.type, bottoms[0])
        return super().out_shapes(bottoms)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        """The bias is (1, 1, 1, 1, num_output) in weight files."""
        weight, *biases = super().param_defs(bottoms)
        return (weight, *(replace(bias, also_saved_as=((1, 1, 1, 1, *bias.shape),)) for bias in biases))


@register
@dataclass(frozen=True)
class Convolution3D(_OverTime, Convolution):
    """Bottom (N, C, L, H, W), top (N, num_output, L', H', W'), weight (num_output, C, kernel_depth,
    kernel_size, kernel_size). A Convolution whose windows are ``kernel_depth`` frames long."""

    type = "Convolution3D"
    origin = "C3D"
    bottoms = exactly(1)
    tops = exactly(1)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Convolution3D:
        return _parse(cls, param, temporal_message(param, *MESSAGES).bias_term)


@register
@dataclass(frozen=True)
class Deconvolution3D(_OverTime, Deconvolution):
    """Bottom (N, C, L, H, W), top (N, num_output, L', H', W'), weight (C, num_output, kernel_depth,
    kernel_size, kernel_size). ``bias_term`` is read from ``convolution_param`` in C3D 1.1 too."""

    type = "Deconvolution3D"
    origin = "C3D"
    bottoms = exactly(1)
    tops = exactly(1)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Deconvolution3D:
        return _parse(cls, param, param.convolution_param.bias_term)
