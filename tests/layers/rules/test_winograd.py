"""Minimal filtering against plain sums in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from vggrepro import emit
from vggrepro.emit import Dims, GraphBuilder, RuleSet, Value
from vggrepro.layers.rules import winograd, winograd_gradients
from vggrepro.layers.rules.correlation import Correlation
from vggrepro.layers.rules.window import Windows

some = settings(max_examples=60, deadline=None)


@given(
    points=st.lists(st.fractions(-3, 3, max_denominator=4), min_size=1, max_size=6, unique=True),
    data=st.data(),
    seed=st.integers(0, 2**32 - 1),
)
def test_matrices_correlate(points: list[Fraction], data: st.DataObject, seed: int) -> None:
    taps = data.draw(st.integers(1, len(points) + 1))
    outputs = len(points) + 2 - taps
    a, g, b = winograd.toom_cook(tuple(points), outputs, taps)
    rng = np.random.default_rng(seed)
    filter_, signal = rng.standard_normal(taps), rng.standard_normal(len(points) + 1)
    expected = np.correlate(signal, filter_, "valid")
    np.testing.assert_allclose(a @ ((g @ filter_) * (b @ signal)), expected, rtol=1e-6, atol=1e-6)


@st.composite
def maps(draw: st.DrawFn) -> Correlation:
    pad = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    sizes = [draw(st.integers(max(3 - 2 * p, 1), 11)) for p in pad]
    images, channels, outputs = (draw(st.integers(1, 4)) for _ in "nck")
    windows = Windows((3, 3), (1, 1), pad, (1, 1))
    tops = [size + 2 * p - 2 for size, p in zip(sizes, pad, strict=True)]
    return Correlation((images, channels, *sizes), (images, outputs, *tops), windows, 1)


def run(map_: Correlation, gradient: str, rules: RuleSet | None = None, **feeds: np.ndarray) -> np.ndarray:
    """The minimal rule for ``gradient``, whatever the direct one would cost."""
    g = GraphBuilder(rules)
    for name in feeds:
        g.reserve(name)
    of_weight = winograd.weight_gradient if g.on_cuda else winograd_gradients.weight_gradient
    rule = winograd_gradients.input_gradient if gradient == "input" else of_weight
    return computed(g, rule(g, *feeds, map_.x, map_.y, map_.windows.pad), feeds)


def run_forward(map_: Correlation, x: np.ndarray, weight: np.ndarray, free: Sequence[int]) -> np.ndarray:
    """The correlation in a graph that knows all sizes of x but those of the axes ``free``."""
    g = GraphBuilder()
    for name in ("x", "weight"):
        g.reserve(name)
    dims = tuple(None if axis in free else size for axis, size in enumerate(map_.x))
    y = winograd.forward(g, Value("x", dims), "weight", len(weight), map_.windows)
    return computed(g, y, {"x": x, "weight": weight}, {"x": dims})


def computed(
    g: GraphBuilder,
    result: str,
    feeds: Mapping[str, np.ndarray],
    declared: Mapping[str, Dims] | None = None,
) -> np.ndarray:
    dims = {**{name: array.shape for name, array in feeds.items()}, **(declared or {})}
    infos = [emit.tensor_info(name, shape, np.float32) for name, shape in dims.items()]
    constants = [emit.tensor(name, array) for name, array in g.constants.items()]
    model = emit.model("m", g.nodes, infos, [helper.make_empty_tensor_value_info(result)], constants, {})
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run([result], dict(feeds))[0]


def plain_sums(
    map_: Correlation, x: np.ndarray, dy: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both gradients in float64, tap by tap."""
    (p, q), (height, width) = map_.windows.pad, map_.y[2:]
    padded = np.pad(np.asarray(x, np.float64), [(0, 0), (0, 0), (p, p), (q, q)])
    d_padded, d_weight = np.zeros_like(padded), np.zeros(weight.shape)
    for i, j in np.ndindex(3, 3):
        seen = (..., slice(i, i + height), slice(j, j + width))
        d_padded[seen] += np.einsum("nkhw,kc->nchw", np.asarray(dy, np.float64), weight[:, :, i, j])
        d_weight[:, :, i, j] = np.einsum("nkhw,nchw->kc", np.asarray(dy, np.float64), padded[seen])
    rows, columns = padded.shape[2] - p, padded.shape[3] - q
    return d_padded[:, :, p:rows, q:columns], d_weight


def arrays(map_: Correlation, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, dy and the weight."""
    rng = np.random.default_rng(seed)
    shapes = (map_.x, map_.y, (map_.y[1], map_.x[1], 3, 3))
    x, dy, weight = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return x, dy, weight


def check(map_: Correlation, seed: int, share: float = 5e-6) -> None:
    """Rounding stays below a ``share`` of what the largest sum would be without signs."""
    x, dy, weight = arrays(map_, seed)
    expected = plain_sums(map_, x, dy, weight)
    bounds = plain_sums(map_, np.abs(x), np.abs(dy), np.abs(weight))
    got = run(map_, "input", dy=dy, weight=weight), run(map_, "weight", x=x, dy=dy)
    for found, true, bound in zip(got, expected, bounds, strict=True):
        np.testing.assert_allclose(found, true, rtol=0, atol=share * bound.max())
    on_cuda = run(map_, "weight", "cuda", x=x, dy=dy)
    np.testing.assert_allclose(on_cuda, expected[1], rtol=0, atol=share * bounds[1].max())


@given(map_=maps(), seed=st.integers(0, 2**32 - 1))
@some
def test_gradients_equal_plain_sums(map_: Correlation, seed: int) -> None:
    check(map_, seed)


def check_forward(map_: Correlation, seed: int, free: Sequence[int] = (), share: float = 5e-6) -> None:
    x, _, weight = arrays(map_, seed)
    expected, bound = (plain_correlation(map_, f(x), f(weight)) for f in (np.positive, np.abs))
    found = run_forward(map_, x, weight, free)
    assert found.shape == map_.y
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * bound.max())


def plain_correlation(map_: Correlation, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """In float64, tap by tap."""
    (p, q), (height, width) = map_.windows.pad, map_.y[2:]
    padded = np.pad(np.asarray(x, np.float64), [(0, 0), (0, 0), (p, p), (q, q)])
    return sum(
        np.einsum("nchw,kc->nkhw", padded[:, :, i : i + height, j : j + width], weight[:, :, i, j])
        for i, j in np.ndindex(3, 3)
    )


@given(map_=maps(), free=st.sets(st.sampled_from([0, 2, 3])), seed=st.integers(0, 2**32 - 1))
@some
def test_forward_equals_plain_sums(map_: Correlation, free: set[int], seed: int) -> None:
    check_forward(map_, seed, sorted(free))


def test_a_result_does_not_depend_on_the_batch() -> None:
    """To the last bit, however many images there are."""
    map_ = Correlation((5, 70, 9, 11), (5, 50, 9, 11), Windows((3, 3), (1, 1), (1, 1), (1, 1)), 1)
    x, _, weight = arrays(map_, 0)
    whole = run_forward(map_, x, weight, [0, 2, 3])
    for image in range(5):
        alone = run_forward(map_, x[image : image + 1], weight, [0, 2, 3])
        np.testing.assert_array_equal(alone[0], whole[image])


def test_a_few_images_at_a_time_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "FORWARD_CHUNK", 24 * 2 * 4 * (3 + 2) * 2)  # two images of 2 x 4 tiles
    check_forward(Correlation((5, 3, 7, 7), (5, 2, 7, 7), Windows((3, 3), (1, 1), (1, 1), (1, 1)), 1), 0)


def test_many_channels_forward() -> None:
    map_ = Correlation((2, 256, 14, 14), (2, 256, 14, 14), Windows((3, 3), (1, 1), (1, 1), (1, 1)), 1)
    check_forward(map_, 0, share=5e-7)


def test_a_few_images_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "CHUNK", 24 * 2 * 4 * (3 + 2) * 2)  # two images of 2 x 4 tiles
    map_ = Correlation((5, 3, 7, 7), (5, 2, 7, 7), Windows((3, 3), (1, 1), (1, 1), (1, 1)), 1)
    check(map_, 0)


def test_many_channels() -> None:
    """Over 256 channels the errors hardly add up."""
    map_ = Correlation((2, 256, 14, 14), (2, 256, 14, 14), Windows((3, 3), (1, 1), (1, 1), (1, 1)), 1)
    check(map_, 0, share=5e-7)


@pytest.mark.parametrize(
    ("windows", "group"),
    [
        (Windows((3, 3), (2, 1), (1, 1), (1, 1)), 1),
        (Windows((3, 3), (1, 1), (1, 1), (1, 2)), 1),
        (Windows((3, 3), (1, 1), (3, 1), (1, 1)), 1),
        (Windows((3, 5), (1, 1), (1, 1), (1, 1)), 1),
        (Windows((3,), (1,), (1,), (1,)), 1),
        (Windows((3, 3), (1, 1), (1, 1), (1, 1)), 2),
    ],
)
def test_other_convolutions_are_left_alone(windows: Windows, group: int) -> None:
    assert winograd.holds(Windows((3, 3), (1, 1), (1, 1), (1, 1)), 1)
    assert not winograd.holds(windows, group)


@pytest.mark.parametrize(
    ("channels", "outputs", "size", "faster"),
    [
        (256, 256, 56, True),
        (64, 128, 112, False),
        (3, 64, 224, False),
        (512, 512, 3, False),
        (512, 512, 7, True),
    ],
)
def test_when_it_saves_time(channels: int, outputs: int, size: int, faster: bool) -> None:
    assert winograd.saves_time(channels, outputs, (size, size), winograd.LEAST_FOR_INPUT) == faster


def test_free_sizes_are_taken_to_be_large() -> None:
    assert winograd.saves_time(512, 512, (None, None), winograd.LEAST_FORWARD)
    assert not winograd.saves_time(64, 64, (None, None), winograd.LEAST_FORWARD)
