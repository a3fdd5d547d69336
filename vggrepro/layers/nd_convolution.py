"""NdConvolution over any number of axes, whose windows are given as shapes (a layer of video-caffe; not from
BVLC Caffe).

Source: chuckcho/video-caffe, ``cudnn_ndconv_layer.cpp``, after an early pull request to BVLC Caffe, with
``kernel_shape``, ``stride_shape`` and ``pad_shape`` in ``convolution_param``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.emit import Shape
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Shapes, register
from vggrepro.layers.convolution import Convolution
from vggrepro.layers.rules.window import WindowParam, shapes_param

READ = ("num_output", "bias_term", "group", "weight_filler", "bias_filler", "engine")


@register
@dataclass(frozen=True)
class NdConvolution(Convolution):
    """Bottom (N, C, sizes...), top (N, num_output, sizes...), weight (num_output, C / group, kernel...).

    The pull request leaves an axis of size 1 out of the top, video-caffe keeps it, as here: the values are
    the same.
    """

    type = "NdConvolution"
    origin = "video-caffe"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> NdConvolution:
        p = param.convolution_param
        kernel, stride, pad = shapes_param(p, READ, cls.type)
        if p.num_output < 1 or p.group < 1 or p.num_output % p.group:
            raise NetError(f"num_output {p.num_output} must be a positive multiple of group {p.group}")
        given = {**dict(WindowParam.of_kernel(*kernel).repeated), "stride": stride, "pad": pad}
        return cls(
            p.num_output,
            WindowParam(tuple(given.items()), ()),
            p.bias_term,
            p.group,
            weight_filler=p.weight_filler,
            bias_filler=p.bias_filler,
        )

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        """Raises ShapeError for a window that is larger than its bottom with padding, as cuDNN does."""
        layout, windows = self.windows(len(bottoms[0]))
        if any(windows.shortfall(layout.sizes(bottoms[0]))):
            raise ShapeError(
                f"kernel {windows.kernel} with pad {windows.pad} does not fit in a bottom of shape"
                f" {bottoms[0]}"
            )
        return super().out_shapes(bottoms)
