"""VoxelSoftmax and VoxelSoftmaxWithLoss: a label for each place of a video (layers of C3D; not from BVLC
Caffe).

Source: facebookarchive/C3D 1.0, the V1 types ``VOXEL_SOFTMAX`` and ``VOXEL_SOFTMAX_LOSS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import Array, Emitted, Referenced, Shapes, register
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.loss import Averaging, Normalization, check_loss_weights
from vggrepro.layers.rules.temporal import check_axes
from vggrepro.layers.softmax import Softmax
from vggrepro.layers.softmax_with_loss import SoftmaxSaved, SoftmaxWithLoss

MOST_LABELS = 2**24
"""Whole numbers from here on are not all in float32."""


@register
@dataclass(frozen=True)
class VoxelSoftmax(Softmax):
    """Bottom and top (N, C, L, H, W): a Softmax over the channels."""

    type = "VoxelSoftmax"
    origin = "C3D"
    gives_posteriors = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> VoxelSoftmax:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_axes(self.type, bottoms[0])
        return super().out_shapes(bottoms)


@register
@dataclass(frozen=True)
class VoxelSoftmaxWithLoss(SoftmaxWithLoss):
    """Bottoms: scores (N, C, L, H, W) and labels (N, 1, L, H, W). The loss is divided by all of their
    number, also by those that name none of the classes and do not count: C and above."""

    type = "VoxelSoftmaxWithLoss"
    origin = "C3D"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> VoxelSoftmaxWithLoss:
        check_loss_weights(param)
        return cls(gives_prob=len(param.top) > 1)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_axes(self.type, bottoms[0])
        return super().out_shapes(bottoms)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, MOST_LABELS)

    def _ignoring(self, label: int) -> VoxelSoftmaxWithLoss:
        return replace(self, averaging=Averaging(Normalization.FULL, label))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[SoftmaxSaved]:
        scores, label = bottoms
        (classes,) = Value("classes", scores.dims[1:2]).shape
        label = Value(g.op("Min", label.name, g.const(classes)), label.dims)
        return SoftmaxWithLoss.emit(self._ignoring(classes), g, [scores, label], params, states)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        scores, label = bottoms
        classes = scores.shape[1]
        label = np.minimum(label, classes)
        return SoftmaxWithLoss.reference(self._ignoring(classes), [scores, label], params, states)
