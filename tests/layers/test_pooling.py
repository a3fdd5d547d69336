from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import Dims, GraphBuilder, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError, VggReproError
from vggrepro.layers.base import Layer
from vggrepro.layers.rules import plane_pieces
from vggrepro.layers.rules.window import pool_end_pad, pool_size

LOWEST = np.finfo(np.float32).min
some = settings(max_examples=100, deadline=None)


@dataclass(frozen=True)
class Case:
    text: str
    shape: tuple[int, int, int, int]
    dims: Dims
    seed: int

    def layer(self, method: str, tops: int = 1) -> Layer:
        names = " ".join(f'top: "y{i}"' for i in range(tops))
        return parse(f'type: "Pooling" {names} pooling_param {{ pool: {method} {self.text} }}')

    def data(self) -> np.ndarray:
        return tie_free(np.random.default_rng(self.seed), self.shape)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Kernels larger and smaller than strides and images, with padding on none, one or both axes."""
    kernels = [draw(st.integers(1, 4)) for _ in "hw"]
    strides = [draw(st.integers(1, 5)) for _ in "hw"]
    pads = [draw(st.integers(0, kernel - 1)) for kernel in kernels]
    up = draw(st.booleans())
    sizes = []
    for kernel, stride, pad in zip(kernels, strides, pads, strict=True):
        rule = {"round_up": up, "clip": any(pads)}
        fits = [s for s in range(1, 11) if pool_size(s, kernel, stride, pad, **rule) > 0]
        sizes.append(draw(st.sampled_from(fits)))
    names = [
        (n, v)
        for n, vs in (("kernel", kernels), ("stride", strides), ("pad", pads))
        for v in zip("hw", vs, strict=True)
    ]
    text = " ".join(f"{name}_{axis}: {value}" for name, (axis, value) in names)
    text += f" round_mode: {'CEIL' if up else 'FLOOR'}"
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *sizes)
    free = draw(st.sampled_from([(), (0,), (0, 2, 3), (2,), (3,)]))
    dims = tuple(None if axis in free else size for axis, size in enumerate(shape))
    return Case(text, shape, dims, draw(st.integers(0, 2**32 - 1)))


@given(size=st.integers(1, 40), kernel=st.integers(1, 9), stride=st.integers(1, 9), data=st.data())
def test_end_padding_gives_the_windows_of_caffe(
    size: int, kernel: int, stride: int, data: st.DataObject
) -> None:
    pad = data.draw(st.integers(0, kernel - 1))
    rule = {"round_up": data.draw(st.booleans()), "clip": pad > 0 or data.draw(st.booleans())}
    count = pool_size(size, kernel, stride, pad, **rule)
    for known in (None, size) if count > 0 else (None,):
        end = pool_end_pad(known, kernel, stride, pad, **rule)
        assert (size + pad + end - kernel) // stride + 1 == count
        assert end < kernel or pad == 0


@some
@given(cases())
def test_max(case: Case) -> None:
    """Exactly the elements of the bottom, and -FLT_MAX in a window without any."""
    layer, x = case.layer("MAX"), case.data()
    (y,) = check_forward(layer, [x], dims=[case.dims])
    np.testing.assert_array_equal(y, layer.reference([np.asarray(x, np.float64)], [], []).tops[0])


@some
@given(cases())
def test_average(case: Case) -> None:
    check_forward(case.layer("AVE"), [case.data()], dims=[case.dims])


@some
@given(cases(), st.integers(1, 5))
def test_mask_is_the_first_maximum(case: Case, values: int) -> None:
    layer = case.layer("MAX", tops=2)
    x = np.random.default_rng(case.seed).integers(0, values, case.shape).astype(np.float32)
    y, mask = check_forward(layer, [x], dims=[(None, *case.shape[1:])])
    planes = x.reshape(*x.shape[:2], -1)
    inside = mask >= 0
    assert inside.all() == (y > LOWEST).all()
    index = np.where(inside, mask, 0).astype(np.int64).reshape(*mask.shape[:2], -1)
    found = np.take_along_axis(planes, index, 2).reshape(y.shape)
    np.testing.assert_array_equal(found[inside], y[inside])


@some
@given(cases(), st.sampled_from(["MAX", "AVE"]))
def test_gradient(case: Case, method: str) -> None:
    layer, x = case.layer(method), case.data()
    (y,) = layer.reference([np.asarray(x, np.float64)], [], []).tops
    assume((np.abs(y) <= 1).all())  # a window behind the end holds -FLT_MAX or 0/0
    check_gradient(layer, [x], most=60)


@some
@given(cases(), st.integers(1, 4))
def test_gradient_goes_to_the_first_maximum(case: Case, values: int) -> None:
    x = np.random.default_rng(case.seed).integers(0, values, case.shape).astype(np.float32)
    mask = case.layer("MAX", tops=2).reference([np.asarray(x, np.float64)], [], []).tops[1].astype(np.int64)
    (dy,) = _d_tops(case, "MAX")
    (dx,) = run_gradient(case.layer("MAX"), [x], [], [dy])
    expected = np.zeros((*x.shape[:2], x.shape[2] * x.shape[3]))
    for n, c, i, j in np.ndindex(dy.shape):
        if mask[n, c, i, j] >= 0:
            expected[n, c, mask[n, c, i, j]] += dy[n, c, i, j]
    np.testing.assert_allclose(dx, expected.reshape(x.shape), rtol=1e-6, atol=1e-6)


def _d_tops(case: Case, method: str) -> list[np.ndarray]:
    (shape,) = case.layer(method).out_shapes([case.shape])
    return [tie_free(np.random.default_rng(case.seed + 1), shape)]


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 2, 1, 4), (3, 1, 1, 1)])
def test_global(method: str, shape: tuple[int, ...]) -> None:
    layer = parse(f'type: "Pooling" pooling_param {{ pool: {method} global_pooling: true }}')
    x = tie_free(np.random.default_rng(0), shape)
    check_forward(layer, [x], dims=[(None, shape[1], None, None)])
    check_gradient(layer, [x])


@pytest.mark.parametrize(
    "text", ["kernel_size: 2 stride: 2", "kernel_size: 3 stride: 2 pad: 1", "global_pooling: true"]
)
def test_gradients_by_planes_are_the_same(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    layer = parse(f'type: "Pooling" pooling_param {{ pool: MAX {text} }}')
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (2, 3, 7, 8)).astype(np.float32)
    dy = rng.standard_normal(layer.out_shapes([x.shape])[0], np.float32)
    (expected,) = run_gradient(layer, [x], [], [dy])
    monkeypatch.setattr(plane_pieces, "LEAST", 1)
    monkeypatch.setattr(plane_pieces, "PIECE", 2 * 7 * 8)
    (got,) = run_gradient(layer, [x], [], [dy], without_kernel=["Scan"])
    np.testing.assert_array_equal(got, expected)


def test_global_mask_and_ties() -> None:
    layer = parse('type: "Pooling" top: "y" top: "m" pooling_param { global_pooling: true }')
    x = np.array([[0, 2, 1, 2], [2, 0, 2, 1]], np.float32).reshape(1, 2, 2, 2)
    _, mask = check_forward(layer, [x])
    assert mask.reshape(-1).tolist() == [1, 0]
    (dx,) = run_gradient(layer, [x], [], [np.ones((1, 2, 1, 1), np.float32), None])
    assert dx.reshape(2, 4).tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]


def test_a_whole_row_of_windows_behind_the_end() -> None:
    """k = 1, s = 2 on even sizes: the last windows begin where the image ends."""
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    layer = parse('type: "Pooling" pooling_param { kernel_size: 1 stride: 2 }')
    (y,) = check_forward(layer, [x], dims=[(None, 1, None, None)])
    assert y.tolist() == [[[[0, 2, LOWEST], [8, 10, LOWEST], [LOWEST] * 3]]]


def test_windows_behind_the_end_send_no_gradient() -> None:
    x, dy = np.ones((1, 1, 1, 4), np.float32), np.array([1, 2, 3], np.float32).reshape(1, 1, 1, 3)
    for method in ("MAX", "AVE"):
        layer = parse(f'type: "Pooling" pooling_param {{ pool: {method} kernel_w: 1 kernel_h: 1 stride: 2 }}')
        (dx,) = run_gradient(layer, [x], [], [dy])
        assert dx.tolist() == [[[[1, 0, 2, 0]]]]


def test_the_divisor_of_a_window_behind_the_end_can_be_negative() -> None:
    """k = 1, s = 3, size 2: the last window begins one behind the end and counts -1 elements."""
    layer = parse('type: "Pooling" pooling_param { pool: AVE kernel_size: 1 stride: 3 }')
    for size in (2, 3):
        x = np.ones((1, 1, 1, size), np.float32)
        (y,) = check_forward(layer, [x], dims=[(None, 1, None, None)])
        assert y.shape == (1, 1, 1, 2)
        assert np.isnan(y[0, 0, 0, 1]) == (size == 3)


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("MAX", "kernel_size: 2 stride: 2"),
        ("MAX", "kernel_size: 3 stride: 2"),
        ("MAX", "kernel_size: 3 stride: 2 pad: 1"),
        ("AVE", "kernel_size: 3 stride: 2"),
        ("AVE", "kernel_size: 3 stride: 1 pad: 1"),
        ("AVE", "kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR"),
        ("AVE", "global_pooling: true"),
    ],
)
def test_common_poolings_are_one_node(method: str, text: str) -> None:
    g = GraphBuilder()
    layer = Case(text, (1, 1, 1, 1), (), 0).layer(method)
    layer.emit(g, [Value("x", (None, 3, None, None))], [], [])
    assert len(g.nodes) == 1


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("pool: STOCHASTIC kernel_size: 2 pad: 1", NetError, "Padding implemented only for average and max"),
        ("global_pooling: true kernel_size: 2", NetError, "Filter size cannot specified"),
        ("global_pooling: true kernel_w: 2", NetError, "Filter size cannot specified"),
        ("kernel_size: 2 kernel_h: 2 kernel_w: 2", NetError, "not both"),
        ("kernel_h: 2", NetError, "kernel_size OR kernel_h and kernel_w; not both"),
        ("", NetError, "kernel_size OR kernel_h and kernel_w; not both"),
        ("kernel_size: 0", NetError, "Filter dimensions cannot be zero"),
        ("kernel_size: 2 pad_h: 1", NetError, "pad is pad OR pad_h and pad_w are required"),
        ("kernel_size: 2 pad: 1 pad_h: 1 pad_w: 1", NetError, "pad is pad OR pad_h and pad_w"),
        ("kernel_size: 2 stride_w: 1", NetError, "Stride is stride OR stride_h and stride_w"),
        ("kernel_size: 2 stride: 0", NetError, "stride must be positive"),
        ("global_pooling: true pad: 1", NetError, "only pad = 0 and stride = 1"),
        ("global_pooling: true stride: 2", NetError, "only pad = 0 and stride = 1"),
        ("kernel_size: 2 pad: 2", NetError, r"pad_h_ < kernel_h_ \(2 vs. 2\)"),
        ("kernel_h: 3 kernel_w: 1 pad: 1", NetError, r"pad_w_ < kernel_w_ \(1 vs. 1\)"),
    ],
)
def test_refusals(text: str, error: type[VggReproError], words: str) -> None:
    with pytest.raises(error, match=f"layer 'p': .*{words}"):
        parse(f'name: "p" type: "Pooling" pooling_param {{ {text} }}')


def test_refused_tops_and_shapes() -> None:
    with pytest.raises(NetError, match="at most 1 top"):
        parse('type: "Pooling" top: "y" top: "m" pooling_param { pool: AVE kernel_size: 2 }')
    layer = parse('type: "Pooling" pooling_param { kernel_size: 5 }')
    with pytest.raises(ShapeError, match=r"4 == bottom\[0\]->num_axes\(\) \(4 vs. 3\)"):
        layer.out_shapes([(2, 3, 4)])
    with pytest.raises(ShapeError, match="no window"):
        layer.out_shapes([(2, 3, 4, 8)])


def pooling(text: str, method: str = "MAX") -> Layer:
    return parse(f'type: "Pooling" top: "y" pooling_param {{ pool: {method} {text} }}')


def test_ceil_mode_says_what_round_mode_says() -> None:
    x = np.arange(144, dtype=np.float32).reshape(1, 1, 12, 12)
    window = "kernel_size: 3 stride: 2 pad: 1"
    assert check_forward(pooling(window), [x])[0].shape == (1, 1, 7, 7)
    assert pooling(f"{window} ceil_mode: true") == pooling(window)
    assert pooling(f"{window} ceil_mode: false") == pooling(f"{window} round_mode: FLOOR")
    assert check_forward(pooling(f"{window} ceil_mode: false"), [x])[0].shape == (1, 1, 6, 6)
    with pytest.raises(NetError, match="contradicts"):
        pooling(f"{window} ceil_mode: true round_mode: FLOOR")


def by_sides(x: np.ndarray, method: str, kernel: int, stride: int, pads: list[int], up: bool) -> np.ndarray:
    """synopsys-caffe's loops: padding before (``pads[0]``, ``pads[2]``) and behind (``pads[1]``, ``pads[3]``)
    of height and width."""
    counts = []
    for size, before, behind in zip(x.shape[2:], pads[::2], pads[1::2], strict=True):
        steps = (size + before + behind - kernel) / stride
        count = int(np.ceil(steps) if up else np.floor(steps)) + 1
        counts.append(count - ((count - 1) * stride >= size + before))
    y = np.zeros((*x.shape[:2], *counts))
    for i, j in np.ndindex(*counts):
        spans, area = [], 1
        for size, place, before, behind in zip(x.shape[2:], (i, j), pads[::2], pads[1::2], strict=True):
            begin = place * stride - before
            end = min(begin + kernel, size + behind)
            area *= end - begin
            spans.append(slice(max(begin, 0), min(end, size)))
        window = x[:, :, spans[0], spans[1]]
        y[:, :, i, j] = window.max((2, 3)) if method == "MAX" else window.sum((2, 3)) / area
    return y


@some
@given(
    st.sampled_from(["MAX", "AVE"]),
    st.integers(2, 4),
    st.integers(1, 3),
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_padding_of_each_side(
    method: str, kernel: int, stride: int, pads: list[int], up: bool, free: bool, seed: int
) -> None:
    pads = [min(p, kernel - 1) for p in pads]
    top, bottom, left, right = pads
    assume(any(pads))
    x = tie_free(np.random.default_rng(seed), (2, 3, 7, 9))
    layer = pooling(
        f"kernel_size: {kernel} stride: {stride} round_mode: {'CEIL' if up else 'FLOOR'}"
        f" pad_t: {top} pad_b: {bottom} pad_l: {left} pad_r: {right}",
        method,
    )
    dims = [(None, 3, None, None) if free else x.shape]
    (y,) = check_forward(layer, [x], dims=dims)
    np.testing.assert_allclose(y, by_sides(x, method, kernel, stride, pads, up), rtol=1e-5, atol=1e-6)
    check_gradient(layer, [x], most=10)


@some
@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 3),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_averages_of_the_image_alone(kernel: int, stride: int, pad: int, up: bool, seed: int) -> None:
    """Intel Caffe's ``avg_include_pad: false``: the mean of what is in the window, without padding."""
    pad = min(pad, kernel - 1)
    assume(pad or stride <= kernel)  # no window wholly behind the end
    x = tie_free(np.random.default_rng(seed), (2, 3, 7, 9))
    window = f"kernel_size: {kernel} stride: {stride} pad: {pad} round_mode: {'CEIL' if up else 'FLOOR'}"
    layer = pooling(f"{window} avg_include_pad: false", "AVE")
    assert pooling(f"{window} avg_include_pad: true", "AVE") == pooling(window, "AVE")
    (y,) = check_forward(layer, [x])
    for i, j in np.ndindex(*y.shape[2:]):
        rows, columns = (
            slice(max(at * stride - pad, 0), min(at * stride - pad + kernel, size))
            for at, size in zip((i, j), x.shape[2:], strict=True)
        )
        np.testing.assert_allclose(y[:, :, i, j], x[:, :, rows, columns].mean((2, 3)), rtol=1e-5, atol=1e-6)
    check_gradient(layer, [x], most=10)


def test_padding_by_side_and_by_axis_exclude_one_another() -> None:
    with pytest.raises(NetError, match="Either pad or pad_l/r/t/b"):
        pooling("kernel_size: 3 pad: 1 pad_l: 1")
    with pytest.raises(NetError, match="pad_w_ < kernel_w_"):
        pooling("kernel_size: 3 pad_r: 3")


@some
@given(cases())
def test_stochastic_in_test_weights_elements_by_themselves(case: Case) -> None:
    """Against the reference, at every overhang, for elements of both signs; those of no window give 0."""
    assume("pad_h: 0" in case.text and "pad_w: 0" in case.text)
    layer = case.layer("STOCHASTIC")
    for x in (np.abs(case.data()), np.maximum(case.data(), 0)):
        check_forward(layer, [x], dims=[case.dims])
    check_forward(layer, [np.abs(case.data())], dims=[case.dims], device="cuda")


def test_stochastic_pooling_by_hand() -> None:
    x = np.array([[1, 3, 0], [0, 0, 0], [2, 2, 5]], np.float32)[None, None]
    layer = parse('type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }')
    (y,) = check_forward(layer, [x])
    np.testing.assert_allclose(y[0, 0], [[10 / 4, 0], [2, 5]])
    whole = parse('type: "Pooling" pooling_param { pool: STOCHASTIC global_pooling: true }')
    (y,) = check_forward(whole, [x])
    np.testing.assert_allclose(y.ravel(), [43 / 13], rtol=1e-6)


def test_stochastic_pooling_is_for_inference() -> None:
    text = 'type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 2 }'
    with pytest.raises(UnsupportedError, match="STOCHASTIC is implemented for TEST alone"):
        parse(text, TRAIN)
    x = np.ones((1, 1, 2, 2), np.float32)
    with pytest.raises(UnsupportedError, match="STOCHASTIC has no gradient in TEST"):
        run_gradient(parse(text), [x], [], [np.ones((1, 1, 1, 1), np.float32)])
