"""DetectionOutput: boxes that a net is sure of, without those that overlap a surer one (SSD's layer; not
from BVLC Caffe).

Sources: weiliu89/caffe, branch ssd, field ``detection_output_param``; sfzhang15/RefineDet for the fourth and
the fifth bottom; MhLiao/TextBoxes_plusplus for ``use_polygon``; OpenCV for ``clip``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, Dims, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Count, DataRows, Emitted, Layer, Reach, Referenced, Shapes, register
from vggrepro.layers.rules.box_code import BoxCode, first_priors, split_pairs, suppressed
from vggrepro.layers.rules.box_suppression import emit_stays
from vggrepro.layers.rules.element_count import Size, at_most, axis_places, sizes, times
from vggrepro.layers.rules.pooling_nodes import LOWEST
from vggrepro.layers.rules.quadrilaterals import emit_quadrilaterals, quadrilaterals
from vggrepro.system.caller_warning import warn_caller

LAST = np.iinfo(np.int64).max
"""Where what is no detection stands when detections are sorted."""


@register
@dataclass(frozen=True)
class DetectionOutput(Layer[None]):
    """Bottoms: predicted places (N, P * 4), or (N, P * C * 4) without ``share_location``; confidences
    (N, P * C); P prior boxes (1, 2, P * 4). Top (1, 1, M, 7), a row for each detection: index of the image,
    label, confidence, xmin, ymin, xmax, ymax in units of the image, sorted by image, label and falling
    confidence. Of prior boxes of several items the first one's count.

    RefineDet's two more bottoms say what an earlier stage thinks of the priors: how sure it is of nothing
    and of an object (N, P * 2), and places (N, P * 4). Priors that are objects by less than
    ``objectness_score`` have confidence 0 in each class; the places, decoded, stand for the priors. A fourth
    bottom of four axes is an image, which SSD's layer needs for ``visualize``; both are ignored.

    With ``use_polygon`` places have 12 numbers instead of 4, and rows 15: the box, by which boxes are
    suppressed, and four corners.

    With OpenCV's ``clip`` boxes are cut to the image, 0 to 1, before they are compared with each other.

    In each class but the background, the ``top_k`` surest boxes above the threshold are candidates. From
    the surest down, one stays unless it overlaps one that stayed by more than ``nms_threshold``. Of
    an image's boxes the ``keep_top_k`` surest stay.

    DEVIATION: the number of detections depends on the data, a top's shape here does not. M is the largest
    number possible; the detections come first, all that is behind them is -1. SSD's own answer where there
    are none, one row with its index for each image, is kept. Nothing is shown or written to files, whatever
    ``visualize``, ``save_output_param`` and ``save_file`` say. Of equal confidences the lower label and prior
    stay, where SSD does not say.

    NonMaxSuppression has no CUDA kernel; SSD's layer, too, suppresses on the host.
    """

    type = "DetectionOutput"
    origin = "SSD; RefineDet, TextBoxes++"
    bottoms = Count(3, 5)
    has_gradient = False
    data_rows = DataRows(2, -1)

    classes: int
    code: BoxCode
    share_location: bool = True
    background: int = 0
    """The label that no detection gets; none if no class has it."""
    nms_threshold: float = 0.3
    top_k: int | None = None
    keep_top_k: int | None = None
    confidence_threshold: float = LOWEST  # as if there were none
    objectness: float = 0.01
    polygon: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> DetectionOutput:
        p = param.detection_output_param
        nms = p.nms_param
        if p.num_classes < 1:
            raise NetError("Must specify num_classes")
        if nms.nms_threshold < 0:
            raise NetError(f"nms_threshold must be non negative. (got {nms.nms_threshold})")
        if not 0 < nms.eta <= 1:
            raise NetError(f"Check failed: eta > 0, eta <= 1 (got {nms.eta})")
        if nms.eta < 1 and nms.nms_threshold > 0.5:  # below, the threshold never changes
            raise UnsupportedError(f"nms_param: eta {nms.eta} is not implemented, only 1")
        if p.visualize:
            warn_caller(f"layer {param.name!r}: visualize is ignored, no picture is shown")
        if (nms.HasField("top_k") and nms.top_k == 0) or p.keep_top_k == 0:
            raise UnsupportedError("detection_output_param: a top_k of 0, which keeps nothing")
        if set(range(p.num_classes)) == {p.background_label_id}:
            raise UnsupportedError("detection_output_param: no class but the background")
        code = replace(BoxCode.from_param(p, p.variance_encoded_in_target), clip=p.clip)
        if p.use_polygon and code != BoxCode("CENTER_SIZE"):
            raise UnsupportedError(
                "use_polygon with another code than CENTER_SIZE, its variances in the places, and no clip"
            )
        return cls(
            classes=p.num_classes,
            share_location=p.share_location,
            background=p.background_label_id,
            code=code,
            nms_threshold=nms.nms_threshold,
            top_k=nms.top_k if nms.HasField("top_k") and nms.top_k > 0 else None,
            keep_top_k=p.keep_top_k if p.keep_top_k > 0 else None,
            confidence_threshold=p.confidence_threshold if p.HasField("confidence_threshold") else LOWEST,
            objectness=p.objectness_score,
            polygon=p.use_polygon,
        )

    @property
    def numbers(self) -> int:
        """How many numbers say where a detection is."""
        return 12 if self.polygon else 4

    @property
    def row(self) -> int:
        """The numbers of a detection: image, label, confidence and where it is."""
        return 3 + self.numbers

    @property
    def labels(self) -> list[int]:
        """The classes without the background."""
        return [label for label in range(self.classes) if label != self.background]

    def _candidates(self, priors: int) -> int:
        """How many boxes of each class take part."""
        return min(self.top_k or priors, priors)

    def _kept(self, priors: int) -> int:
        """How many detections an image can have."""
        most = len(self.labels) * self._candidates(priors)
        return min(self.keep_top_k or most, most)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        places, confidences, boxes, *more = bottoms
        if len(boxes) < 3 or boxes[1] != 2 or boxes[2] % 4 or boxes[2] == 0:
            raise ShapeError(f"bottom[2] must be prior boxes of shape (1, 2, 4 * boxes), got {boxes}")
        priors = boxes[2] // 4
        if places[:1] != confidences[:1]:
            raise ShapeError(
                f"Check failed: bottom[0]->num() == bottom[1]->num() ({places} vs. {confidences})"
            )
        if prod(places[1:]) != priors * self._place_classes * self.numbers:
            raise ShapeError(
                "Number of priors must match number of location predictions."
                f" ({priors} priors, bottom[0] has shape {places})"
            )
        if prod(confidences[1:]) != priors * self.classes:
            raise ShapeError(
                "Number of priors must match number of confidence predictions."
                f" ({priors} priors, bottom[1] has shape {confidences})"
            )
        self._check_stage([] if _image(more) else more, (places[0], priors))
        return ((1, 1, places[0] * self._kept(priors), self.row),)

    def _check_stage(self, stage: Shapes, boxes: tuple[int, int]) -> None:
        """Whether the bottoms of the earlier stage fit to the number of images and of priors."""
        images, priors = boxes
        for shape, name, each in zip(stage, ("bottom[3]", "bottom[4]"), (2, 4), strict=False):
            if shape[:1] != (images,) or prod(shape[1:]) != priors * each:
                raise ShapeError(
                    f"{name} must be ({images}, {priors * each}) for {priors} priors, got {shape}"
                )
        if stage and (self.polygon or self.code.clip):
            raise UnsupportedError(f"{'use_polygon' if self.polygon else 'clip'} with an earlier stage")
        if stage and self.background != 0:
            raise UnsupportedError("an earlier stage's confidences with another background than label 0")
        if len(stage) == 2 and not self.share_location:
            raise UnsupportedError("an earlier stage's places without share_location")

    @property
    def _place_classes(self) -> int:
        return 1 if self.share_location else self.classes

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        places, confidences, prior, *stage = bottoms
        if _image([value.dims for value in stage]):
            stage = []
        many, classes = at_most(g, _priors(g, prior), self.top_k), len(self.labels)
        coded = [value.name for value in (places, *stage[1:])]
        boxes = self._boxes(g, coded, first_priors(g, prior))
        scores = g.op("Reshape", confidences.name, g.ints([0, -1, self.classes]))
        scores = self._foreground(g, g.op("Transpose", scores, perm=[0, 2, 1]))
        if stage:
            objects = g.op("Gather", g.op("Reshape", stage[0].name, g.ints([0, 1, -1, 2])), g.ints(1), axis=3)
            scores = g.op("Where", g.op("Less", objects, g.const(self.objectness)), g.const(0), scores)
        scores, chosen = g.ops("TopK", scores, sizes(g, many), outputs=2, axis=2)  # (N, classes, many)
        if self.share_location:
            flat = g.op("Reshape", chosen, g.ints([0, -1, 1]))
            boxes = g.op(
                "GatherND", g.op("Reshape", boxes, g.ints([0, -1, self.numbers])), flat, batch_dims=1
            )
            boxes = g.op("Reshape", boxes, g.ints([0, classes, -1, self.numbers]))
        else:
            index = g.op("Unsqueeze", chosen, g.ints([3]))
            boxes = g.op("GatherND", self._foreground(g, boxes), index, batch_dims=2)
        area = g.op("Gather", boxes, g.ints(range(4)), axis=-1) if self.polygon else boxes
        stays = emit_stays(g, area, scores, many, self.confidence_threshold, self.nms_threshold)
        each = times(g, many, classes)
        keys = self._sorted(g, scores, stays, each, at_most(g, each, self.keep_top_k))
        return Emitted((self._rows(g, boxes, scores, keys),), None)

    def _foreground(self, g: GraphBuilder, by_class: str) -> str:
        """(N, all classes, ...) without the background."""
        if len(self.labels) == self.classes:
            return by_class
        return g.op("Gather", by_class, g.ints(self.labels), axis=1)

    def _boxes(self, g: GraphBuilder, places: Sequence[str], prior: str) -> str:
        """What the net predicts, decoded: (N, 1 or all classes, P, 4 or 12). Last in ``places`` is what the
        earlier stage predicts, if there is one."""
        parts = g.op("Reshape", prior, g.ints([2, -1, 1, 4]))
        corners, variances = g.ops("Split", parts, outputs=2, axis=0, num_outputs=2)  # (1, P, 1, 4)
        pairs, polygons = split_pairs(g, corners), []
        for predicted in reversed(places):
            coded = g.op("Reshape", predicted, g.ints([0, -1, self._place_classes, self.numbers]))
            if self.polygon:
                coded, more = g.ops("Split", coded, g.ints([4, 8]), outputs=2, axis=-1)
                polygons = [emit_quadrilaterals(g, more, pairs, variances)]
            pairs = self.code.emit_box(g, coded, pairs, variances)
        return g.op("Transpose", g.op("Concat", *pairs, *polygons, axis=-1), perm=[0, 2, 1, 3])

    def _sorted(self, g: GraphBuilder, scores: str, stays: str, each: Size, kept: Size) -> str:
        """(N * kept,): which candidates, out of all images', are detections, in order, then LAST.

        The surest of each image, then all by image, class and rank, which is their place in memory.
        """
        ranked = g.op("Reshape", g.op("Where", stays, scores, g.const(LOWEST)), sizes(g, -1, each))
        best, index = g.ops("TopK", ranked, sizes(g, kept), outputs=2, axis=1)
        begins = g.op("Mul", axis_places(g, scores, 0), sizes(g, each))
        place = g.op("Add", index, g.op("Unsqueeze", begins, g.ints([1])))
        place = g.op("Where", g.op("Greater", best, g.const(LOWEST)), place, g.ints(int(LAST)))
        flat = g.op("Reshape", place, g.ints([-1]))
        return g.ops("TopK", flat, g.op("Shape", flat), outputs=2, axis=0, largest=0)[0]

    def _rows(self, g: GraphBuilder, boxes: str, scores: str, keys: str) -> str:
        """The top: rows of the candidates at ``keys``, -1 behind them."""
        column = g.op("Unsqueeze", scores, g.ints([3]))  # (N, classes, many, 1)
        shape = g.op("Shape", column)
        images = g.op("Cast", g.op("Unsqueeze", axis_places(g, scores, 0), g.ints([1, 2, 3])), to=FLOAT)
        labels = g.const(np.reshape(self.labels, (1, -1, 1, 1)))
        parts = [g.op("Expand", part, shape) for part in (images, labels)]
        every = g.op("Reshape", g.op("Concat", *parts, column, boxes, axis=3), g.ints([-1, self.row]))
        real = g.op("Less", keys, g.ints(int(LAST)))
        found = g.op("Gather", every, g.op("Where", real, keys, g.ints(0)), axis=0)
        rows = g.op("Where", g.op("Unsqueeze", real, g.ints([1])), found, self._padding(g, scores, real))
        return g.op("Unsqueeze", rows, g.ints([0, 1]))

    def _padding(self, g: GraphBuilder, scores: str, real: str) -> str:
        """Rows of -1. If nothing is real, the first rows begin with the images' indices."""
        index = axis_places(g, real, 0)
        number = g.op("Shape", scores, end=1)
        nothing = g.op("Not", g.op("Gather", real, g.ints([0]), axis=0))  # real ones come first
        named = g.op("And", g.op("Less", index, number), nothing)
        image = g.op(
            "Unsqueeze", g.op("Cast", g.op("Where", named, index, g.ints(-1)), to=FLOAT), g.ints([1])
        )
        return g.op("Pad", image, g.ints([0, 0, 0, self.row - 1]), g.const(-1))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (shape,) = self.out_shapes([b.shape for b in bottoms])
        corners, variances = bottoms[2][0].reshape(2, -1, 4)
        images, priors = bottoms[0].shape[0], len(corners)
        stage = [] if _image([bottom.shape for bottom in bottoms[3:]]) else bottoms[3:]
        boxes = corners[:, None]
        for places in (*stage[1:], bottoms[0]):
            coded = places.reshape(images, priors, self._place_classes, self.numbers)
            boxes = self.code.box(coded[..., :4], boxes, variances[:, None])
        if self.polygon:
            polygons = quadrilaterals(coded[..., 4:], corners[:, None], variances[:, None])
            boxes = np.concatenate([boxes, polygons], axis=-1)
        confidences = bottoms[1].reshape(images, priors, self.classes)
        if stage:
            objects = stage[0].reshape(images, priors, 2)[:, :, 1:]
            confidences = np.where(objects < np.float32(self.objectness), 0, confidences)
        rows: list[list[float]] = []
        for image in range(images):
            found: list[list[float]] = []
            for label in self.labels:
                places = boxes[image, :, 0 if self.share_location else label]
                scores = confidences[image, :, label]
                stays = self._greedy(places, scores)
                found += [[image, label, scores[index], *places[index]] for index in stays]
            surest = sorted(range(len(found)), key=lambda index: -found[index][2])[: self.keep_top_k]
            rows += [found[index] for index in sorted(surest)]
        rows = rows or [[image, *[-1] * (self.row - 1)] for image in range(images)]
        top = np.full(shape, -1.0)
        top[0, 0, : len(rows)] = rows
        return Referenced((top,))

    def _greedy(self, boxes: Array, scores: Array) -> list[int]:
        """The boxes of one class that stay, the surest first."""
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] > self.confidence_threshold][: self.top_k]
        return [int(order[index]) for index in suppressed(boxes[order, :4], self.nms_threshold)]


def _priors(g: GraphBuilder, boxes: Value) -> Size:
    """How many prior boxes there are."""
    size = boxes.dims[2]
    return g.op("Div", g.op("Shape", boxes.name, start=2, end=3), g.ints([4])) if size is None else size // 4


def _image(more: Sequence[Dims]) -> Dims | None:
    """The shape of the image, if the bottoms behind the third are one."""
    return more[0] if len(more) == 1 and len(more[0]) == 4 else None
