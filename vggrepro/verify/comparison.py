"""Two answers for the same blobs, side by side: how far a converted model is off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.graph.model import Graph
from vggrepro.graph.reference import reference_walk
from vggrepro.net import Net
from vggrepro.runtime.session import Session

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Difference:
    """One blob's differences: the largest and the mean one, and the blob's largest magnitude."""

    blob: str
    shape: tuple[int, ...]
    largest: float
    mean: float
    magnitude: float
    passed: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    blob: str, got: npt.NDArray[Any], want: npt.NDArray[Any], *, atol: float, rtol: float = 0.0
) -> Difference:
    """Passed if ``|got - want| <= atol + rtol * |want|`` everywhere; NaN equals NaN, infinity itself."""
    if got.shape != want.shape:
        return Difference(blob, got.shape, float("inf"), float("inf"), _magnitude(want), False)
    exact = np.asarray(want, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(got - exact)
        same = (got == exact) | (np.isnan(got) & np.isnan(exact))
        passed = bool(np.all(same | (off <= atol + rtol * np.abs(exact))))
    off = np.where(same, 0.0, off)
    return Difference(
        blob,
        got.shape,
        float(off.max(initial=0)),
        float(off.mean()) if off.size else 0.0,
        _magnitude(exact),
        passed,
    )


def _magnitude(array: npt.NDArray[Any]) -> float:
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max(initial=0))


def verify(session: Session, judge: Net, inputs: Arrays, tolerance: float) -> list[Difference]:
    """What a session gives for its outputs against the float64 reference of a net, in the session's order.

    ``tolerance`` is relative to the largest magnitude of each blob. A map (N, C, H, W) is compared with
    the vector (N, C * H * W) that it was before surgery.
    """
    values, moved = reference_walk(judge, inputs, {})
    want = {**{blob: values[value] for blob, value in judge.blobs.items()}, **moved}
    got = session.run(inputs)
    differences = []
    for blob, found in got.items():
        exact = want[blob]
        if found.ndim == 4 and (len(found), found[:1].size) == exact.shape:
            found = found.reshape(exact.shape)
        differences.append(compare(blob, found, exact, atol=tolerance * _magnitude(exact)))
    return differences


def example_inputs(
    net: Net, graph: Graph, *, grow: tuple[int, int] = (0, 0)
) -> dict[str, npt.NDArray[np.float32]]:
    """Arrays for the inputs of a net: noise of the range of pixels minus their mean, 0 or 1 for labels,
    indices and markers. ``grow`` is added to the height and width of images.

    Where the batch of ``graph`` is free, two samples of it: enough to see them mixed up.
    """
    rng = np.random.default_rng(0)
    selecting = {
        bottom
        for placed in net.layers
        for index, bottom in enumerate(placed.bottoms)
        if index in placed.layer.blind_bottoms or (index > 0 and not placed.layer.has_gradient)
    }
    arrays = {}
    for name, shape in net.inputs.items():
        if graph.is_free(name, 0):
            shape = (min(shape[0], 2), *shape[1:])
        if len(shape) == 4:
            shape = (*shape[:2], shape[2] + grow[0], shape[3] + grow[1])
        noise = 50 * rng.standard_normal(shape, np.float32)
        arrays[name] = (noise > 0).astype(np.float32) if name in selecting else noise
    return arrays


def table(differences: list[Difference]) -> str:
    """A text table of differences, a line for each blob."""
    width = max([len(d.blob) for d in differences] + [4])
    lines = [f"{'blob':<{width}}  {'largest':>9}  {'mean':>9}  {'magnitude':>9}  shape"]
    for d in differences:
        mark = "" if d.passed else "  FAILED"
        lines.append(
            f"{d.blob:<{width}}  {d.largest:9.2e}  {d.mean:9.2e}  {d.magnitude:9.2e}  {d.shape}{mark}"
        )
    return "\n".join(lines)
