"""How far what a model gives is from what it should give, blob by blob."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vggrepro.graph.model import Graph
from vggrepro.graph.reference import Arrays, reference_walk, shaped_for
from vggrepro.layers.rules.right_boxes import PIXEL_ROWS, ROW, example_pixel_rows, example_rows
from vggrepro.net import Net
from vggrepro.system.terminal import printable
from vggrepro.text_table import aligned
from vggrepro.verify.detections import detection_blobs, in_the_order_of
from vggrepro.verify.input_noise import PIXELS

if TYPE_CHECKING:  # ONNX Runtime takes time and memory that most comparisons do not need
    from vggrepro.runtime.session import Session


@dataclass(frozen=True)
class Difference:
    """How far one blob is off: the ``largest`` and the ``mean`` absolute difference, beside the largest
    absolute value that it should have (``magnitude``). ``passed`` says whether it is within tolerance."""

    blob: str
    shape: tuple[int, ...]
    largest: float
    mean: float
    magnitude: float
    passed: bool

    @property
    def relative(self) -> float:
        """The largest difference in units of the magnitude; infinite where it should be all 0 and is not."""
        if self.magnitude:
            return self.largest / self.magnitude
        return math.inf if self.largest else 0.0

    def as_json(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return asdict(self)


def compare(
    blob: str, got: npt.NDArray[Any], want: npt.NDArray[Any], *, atol: float, rtol: float = 0.0
) -> Difference:
    """Compare two arrays under the name ``blob``, in float64. They pass if ``|got - want| <= atol + rtol *
    |want|`` everywhere; NaN equals NaN, and infinity equals itself. Arrays of two shapes do not pass."""
    if got.shape != want.shape:
        return Difference(blob, got.shape, float("inf"), float("inf"), magnitude(want), False)
    exact = np.asarray(want, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(got - exact)
        same = (got == exact) | (np.isnan(got) & np.isnan(exact))
        near = np.isfinite(exact) & (off <= atol + rtol * np.abs(exact))
    passed = bool(np.all(same | near))
    off = np.where(same, 0.0, off)
    return Difference(
        blob,
        got.shape,
        float(off.max(initial=0)),
        float(off.mean()) if off.size else 0.0,
        magnitude(exact),
        passed,
    )


def magnitude(array: npt.NDArray[Any]) -> float:
    """The largest absolute value, of those that are finite; 0 if there is none."""
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max(initial=0))


def compare_with_reference(
    session: Session, net: Net, inputs: Arrays, tolerance: float, images: Arrays | None = None
) -> list[Difference]:
    """Compare every output of a session with the blob of that name that the float64 reference of ``net``
    gives for the same ``inputs``, in the order of the outputs. The session takes ``images`` in place of
    inputs of their names.

    A steep layer (a root at 0) may make a top that is far off of a bottom that is off by rounding. Its
    top and what follows are judged by the bottoms that the session itself gives, where these are outputs.

    ``tolerance`` is relative to the largest absolute value of each blob. Where the session gives a map (N, C,
    H, W) for a blob that is a vector (N, C * H * W) in ``net``, because its graph is fully convolutional, the
    map is flattened first. Detections are compared as sets.
    """
    shaped_for(net, inputs)  # what the net cannot take it says itself, by the layer
    got = session.run({**inputs, **(images or {})})
    values, moved = reference_walk(net, inputs, {}, measured_values(net, got))
    want = {**{blob: values[value] for blob, value in net.blobs.items()}, **moved}
    differences, detections = [], detection_blobs(net)
    for blob, found in got.items():
        exact = want[blob]
        if found.ndim == 4 and (len(found), found[:1].size) == exact.shape:
            found = found.reshape(exact.shape)
        if blob in detections:
            found = in_the_order_of(exact, found)
        differences.append(compare(blob, found, exact, atol=tolerance * magnitude(exact)))
    return differences


def measured_values(net: Net, got: Arrays) -> dict[str, npt.NDArray[Any]]:
    """The blobs that a model gave, by the net's values that they stand for."""
    return {net.blobs[blob]: array for blob, array in got.items() if blob in net.blobs}


def example_inputs(
    net: Net, graph: Graph, *, grow: tuple[int, int] = (0, 0), std: float = PIXELS
) -> dict[str, npt.NDArray[np.float32]]:
    """Arrays to feed a net: normal noise with standard deviation ``std``, boxes where it wants boxes, and 0
    or 1 for labels, indices and markers. ``grow`` is added to the height and width of images.

    Where ``graph``, made from the net, takes any number of samples, there are at most two of them: enough to
    notice samples that are mixed up. The noise is the same in every call.
    """
    rng = np.random.default_rng(0)
    read = [
        (layer.layer, index, bottom) for layer in net.layers for index, bottom in enumerate(layer.bottoms)
    ]
    selecting = {
        bottom
        for layer, index, bottom in read
        if index in layer.blind_bottoms or (index > 0 and not layer.has_gradient)
    }
    boxes = {bottom for layer, index, bottom in read if index in layer.right_boxes}
    arrays = {}
    for name, shape in net.inputs.items():
        if graph.is_free(name, 0):
            shape = (min(shape[0], 2), *shape[1:])
        if len(shape) == 4:
            shape = (*shape[:2], shape[2] + grow[0], shape[3] + grow[1])
        noise = np.float32(std) * rng.standard_normal(shape, np.float32)
        arrays[name] = (noise > 0).astype(np.float32) if name in selecting else noise
    images = min((len(array) for name, array in arrays.items() if name not in boxes), default=1)
    size = max((array.shape[2:] for array in arrays.values() if array.ndim == 4), default=(1, 1))
    for name in sorted(boxes & set(arrays)):
        shape = arrays[name].shape
        if len(shape) == 4 and shape[:2] == (1, 1) and shape[3] == ROW:
            arrays[name] = example_rows(shape[2], images, rng)
        elif math.prod(shape[1:]) in PIXEL_ROWS:
            arrays[name] = example_pixel_rows(shape, images, (size[0], size[1]), rng)
    return arrays


def difference_table(differences: list[Difference], tolerance: float | None = None) -> str:
    """A text table of differences, a line for each blob; with those in units of the blob's magnitude where
    that is what a ``tolerance`` holds for."""
    relative = [] if tolerance is None else [f"relative (of {tolerance:g})"]
    rows = [["blob", *relative, "largest", "mean", "magnitude", "shape"]]
    for d in differences:
        shown = (d.relative,) if relative else ()
        numbers = [f"{number:.2e}" for number in (*shown, d.largest, d.mean, d.magnitude)]
        rows.append([printable(d.blob), *numbers, str(d.shape) if d.passed else f"{d.shape}  FAILED"])
    return "\n".join(aligned(rows, right=range(1, len(rows[0]) - 1)))


def verdict_line(differences: list[Difference], tolerance: float) -> str:
    """Whether all are within the relative ``tolerance``, and the worst of them."""
    if not differences:
        return "verified: no blob to compare"
    passed = all(d.passed for d in differences)
    worst = max(differences, key=lambda d: (not d.passed, d.relative))
    return (
        f"{'verified' if passed else 'not verified'}: worst {worst.relative:.1e} of {tolerance:g}"
        f" at blob {printable(worst.blob)}"
    )
