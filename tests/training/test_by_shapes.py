"""What is built for each set of input shapes."""

from __future__ import annotations

from collections.abc import Mapping

from vggrepro.training.by_shapes import MOST, ByShapes


def test_built_once_and_the_last_used_kept() -> None:
    built: list[int] = []

    def build(shapes: Mapping[str, tuple[int, ...]]) -> int:
        built.append(shapes["x"][0])
        return shapes["x"][0]

    made = ByShapes(build)
    for size in range(MOST):
        assert made({"x": (size,), "y": (1,)}) == size
    assert made({"y": (1,), "x": (0,)}) == 0  # the order of names does not count
    made({"x": (MOST,), "y": (1,)})  # 1 is now the one that was not used for longest
    made({"x": (0,), "y": (1,)})
    assert built == [*range(MOST), MOST]
    made({"x": (1,), "y": (1,)})
    assert built == [*range(MOST), MOST, 1]
