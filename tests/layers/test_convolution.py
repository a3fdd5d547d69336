from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from conv_cases import ConvCase, conv_cases
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given, settings

from vggrepro.emit import GraphBuilder, RuleSet, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError, VggReproError
from vggrepro.layers.base import Layer, Needed
from vggrepro.layers.rules import correlation
from vggrepro.layers.rules.correlation import RULES

some = settings(max_examples=100, deadline=None)


@given(case=conv_cases("Convolution"))
@some
def test_forward_equals_the_reference(case: ConvCase) -> None:
    bottoms, params = case.arrays()
    check_forward(case.layer(), bottoms, params, dims=[case.dims] * case.bottoms)


@pytest.mark.parametrize("device", RULES)
@given(case=conv_cases("Convolution"))
@some
def test_gradient_equals_differences(case: ConvCase, device: RuleSet) -> None:
    check_gradient(case.layer(), *case.arrays(), most=30, device=device)


def test_a_window_beyond_a_short_input_counts_once() -> None:
    """(2 - 3) / 2 is 0 in C++, so Caffe computes one window, with a zero behind the end."""
    layer = parse(
        'type: "Convolution" convolution_param { num_output: 1 kernel_size: 3 stride: 2 bias_term: false }'
    )
    x, w = np.float32([[[[1, 2], [3, 4]]]]), np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
    (y,) = check_forward(layer, [x], [w])
    assert y.tolist() == [[[[1 * 1 + 2 * 2 + 4 * 3 + 5 * 4]]]]
    for device in RULES:
        check_gradient(layer, [x], [w], device=device)


def test_rows_that_no_window_reads_get_no_gradient() -> None:
    layer = parse('type: "Convolution" convolution_param { num_output: 2 kernel_size: 2 stride: 3 }')
    x, w, b = np.ones((1, 1, 7, 7), "f4"), np.ones((2, 1, 2, 2), "f4"), np.zeros(2, "f4")
    dx, *_ = run_gradient(layer, [x], [w, b], [np.ones((1, 2, 2, 2), "f4")])
    assert not dx[:, :, 2].any() and not dx[:, :, 5:].any()
    assert (dx[:, :, [0, 1, 3, 4]][..., [0, 1, 3, 4]] == 2).all()


@pytest.mark.parametrize("device", RULES)
def test_many_images_are_unfolded_a_few_at_a_time(device: RuleSet, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    layer = parse('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 group: 2 stride: 2 }')
    x, w, b = tie_free(rng, (5, 2, 7, 6)), tie_free(rng, (4, 1, 3, 3)), tie_free(rng, (4,))
    monkeypatch.setitem(correlation.CHUNK, device, 2 * 2 * 9 * 3 * 2)  # two images
    check_gradient(layer, [x], [w, b], device=device)


def test_only_what_is_needed_is_computed() -> None:
    layer = parse('type: "Convolution" convolution_param { num_output: 2 kernel_size: 1 }')
    arrays = [np.ones((1, 3, 2, 2), "f4")], [np.ones((2, 3, 1, 1), "f4"), np.ones(2, "f4")]
    dy = [np.ones((1, 2, 2, 2), "f4")]
    for flags in ((True, False, False), (False, True, False), (False, False, True)):
        got = run_gradient(layer, *arrays, dy, needed=Needed(flags[:1], flags[1:]))
        assert [d is not None for d in got] == list(flags)


def test_pairs_without_gradient_add_nothing() -> None:
    layer = parse('type: "Convolution" top: "a" top: "b" convolution_param { num_output: 2 kernel_size: 1 }')
    rng = np.random.default_rng(0)
    bottoms = [tie_free(rng, (1, 3, 2, 2)) for _ in "ab"]
    params = [tie_free(rng, (2, 3, 1, 1)), tie_free(rng, (2,))]
    check_gradient(layer, bottoms, params, d_tops=[None, tie_free(rng, (1, 2, 2, 2))])


def test_work_and_window() -> None:
    layer = parse(
        'type: "Convolution" convolution_param { num_output: 4 kernel_h: 3 kernel_w: 5 group: 2 stride: 2 }'
    )
    assert layer.macs([(2, 6, 9, 9), (2, 6, 9, 9)]) == 2 * 2 * (4 * 3) * 4 * (3 * 15)
    assert layer.reach((2, 6, 9, 9)).extent == (3, 5)
    assert layer.reach((2, 6, 9, 9)).stride == (2, 2)
    rows = parse('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 axis: 2 }')
    assert rows.reach((2, 6, 9, 9)) is None


REFUSED = {
    "num_output: 1 kernel_size: 3 kernel_h: 3": "Either kernel_size or kernel_h/w should be specified",
    "num_output: 1 kernel_size: 3 stride: 1 stride_w: 2": "Either stride or stride_h/w should be",
    "num_output: 1 kernel_size: 3 pad: 1 pad_h: 1": "Either pad or pad_h/w should be specified; not both.",
    "num_output: 1 kernel_h: 3": "Filter dimensions must be nonzero.",
    "num_output: 1 kernel_size: 0": "Filter dimensions must be nonzero.",
    "num_output: 1 kernel_size: 1 stride: 0": "Stride dimensions must be nonzero.",
    "num_output: 1": r"\(kernel_size specified 0 times; 2 spatial dims\)",
    "num_output: 1 kernel_size: [1, 1, 1]": "kernel_size must be specified once, or once per",
    "num_output: 1 kernel_size: 1 stride: [1, 1, 1]": "stride must be specified once, or once per",
    "num_output: 1 kernel_size: 1 pad: [1, 1, 1]": "pad must be specified once, or once per",
    "num_output: 1 kernel_size: 1 dilation: [1, 1, 1]": "dilation must be specified once, or once per",
    "num_output: 1 axis: 2 kernel_h: 1 kernel_w: 1": "kernel_h & kernel_w can only be used for 2D",
    "num_output: 4 kernel_size: 1 group: 2": r"channels_ % group_ == 0 \(1 vs. 0\)",
    "num_output: 1 kernel_size: 7": "leave a top of size",
    "num_output: 1 kernel_size: 1 axis: 4": "axis 4 out of range for 4-D Blob with shape",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_caffe_refuses(text: str) -> None:
    layer = parse(f'type: "Convolution" convolution_param {{ {text} }}')
    with pytest.raises(VggReproError, match=REFUSED[text]):
        layer.out_shapes([(2, 3, 5, 5)])


@pytest.mark.parametrize("text", ["num_output: 3 group: 2", "num_output: 0", "num_output: 1 group: 0"])
def test_what_caffe_refuses_at_once(text: str) -> None:
    with pytest.raises(NetError, match="layer 'l': num_output"):
        parse(f'type: "Convolution" convolution_param {{ {text} kernel_size: 1 }}')


def test_bottoms_and_tops_come_in_pairs() -> None:
    with pytest.raises(NetError, match="produces one top blob as output for each bottom blob input"):
        parse('type: "Convolution" bottom: "a" bottom: "b" top: "c" convolution_param { num_output: 1 }')


def test_bottoms_of_different_shapes() -> None:
    layer = parse('type: "Convolution" top: "a" top: "b" convolution_param { num_output: 1 kernel_size: 1 }')
    with pytest.raises(ShapeError, match=r"bottom\[0\]: 1 2 3 3 \(18\) vs. bottom\[1\]: 1 2 3 4 \(24\)"):
        layer.out_shapes([(1, 2, 3, 3), (1, 2, 3, 4)])


def test_no_dilation_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="dilation 0"):
        parse('type: "Convolution" convolution_param { num_output: 1 kernel_size: 1 dilation: 0 }')


def fork_convolution(text: str) -> Layer:
    return parse(f'type: "Convolution" bottom: "x" top: "y" convolution_param {{ num_output: 4 {text} }}')


def test_hole_is_dilation() -> None:
    """DeepLab's name of it."""
    plain = fork_convolution("kernel_size: 3 pad: 2 dilation: 2")
    assert fork_convolution("kernel_size: 3 pad: 2 hole: 2") == plain
    two = fork_convolution("kernel_size: 3 hole_h: 2 hole_w: 3")
    assert two.out_shapes([(1, 2, 9, 9)]) == ((1, 4, 5, 3),)
    with pytest.raises(NetError, match="expected one of them"):
        fork_convolution("kernel_size: 3 hole: 2 dilation: 3")
    with pytest.raises(UnsupportedError, match="dilation 0"):
        fork_convolution("kernel_size: 3 hole: 0")


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("pads", [(0, 1, 2, 0), (1, 1, 2, 2), (0, 0, 0, 3), (1, 1, 0, 2)])
def test_padding_of_each_side(pads: tuple[int, int, int, int], free: bool) -> None:
    """synopsys-caffe's pad_t, pad_b, pad_l, pad_r: as if the bottom had zeros there."""
    top, bottom, left, right = pads
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 6, 7)).astype(np.float32)
    params = [rng.normal(size=(4, 3, 3, 3)).astype(np.float32), rng.normal(size=4).astype(np.float32)]
    sides = f"pad_t: {top} pad_b: {bottom} pad_l: {left} pad_r: {right}"
    layer = fork_convolution(f"kernel_size: 3 stride: 2 {sides}")
    dims = [(None, 3, None, None) if free else x.shape]
    (y,) = check_forward(layer, [x], params, dims=dims)
    padded = np.pad(x, [(0, 0), (0, 0), (top, bottom), (left, right)])
    (expected,) = check_forward(fork_convolution("kernel_size: 3 stride: 2"), [padded], params)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    check_gradient(layer, [x], params, most=20)


WIDE = 'type: "Convolution" convolution_param { num_output: 96 kernel_size: 3 pad: 1 bias_term: %s }'


@pytest.mark.parametrize("bias", [True, False])
def test_wide_ones_are_filtered_minimally_on_a_cpu_alone(bias: bool) -> None:
    """Elsewhere they are the plain operator, which every runtime has."""
    layer = parse(WIDE % str(bias).lower())
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(s, np.float32) for s in ((2, 96, 8, 9), (96, 96, 3, 3)))
    params = [weight, *([rng.standard_normal(96, np.float32)] if bias else [])]
    (expected,) = layer.reference([x], params, []).tops
    (got,) = check_forward(layer, [x], params)
    np.testing.assert_allclose(got, expected, rtol=0, atol=3e-6 * np.abs(expected).max())
    operators = {device: operators_of(layer, x, params, device) for device in RULES}
    assert operators[None] == operators["cuda"] == ["Conv"]
    assert operators["cpu"].count("Conv") == 18


@pytest.mark.parametrize(
    ("sides", "on_cpu"), [((28, 29), 12), ((None, None), 12), ((9, 9), 1), ((4, None), 1)]
)
def test_wide_filters_take_fewer_products_on_a_cpu_alone(
    sides: tuple[int | None, int | None], on_cpu: int
) -> None:
    """Not where there are few outputs, nor where a window is larger than all of its input, but counts."""
    layer = parse("type: 'Convolution' convolution_param { num_output: 64 kernel_size: 5 pad: 0 }")
    found = {}
    for rules in RULES:
        g = GraphBuilder(rules)
        params = [Value("weight", (64, 64, 5, 5)), Value("bias", (64,))]
        layer.emit(g, [Value("x", (1, 64, *sides))], params, [])
        found[rules] = sum(node.op_type == "Conv" for node in g.nodes)
    assert found == {rules: on_cpu if rules == "cpu" else 1 for rules in RULES}


def operators_of(
    layer: Layer, x: np.ndarray, params: Sequence[np.ndarray], device: RuleSet | None
) -> list[str]:
    g = GraphBuilder(device)
    layer.emit(g, [Value("x", x.shape)], [Value(f"p{i}", p.shape) for i, p in enumerate(params)], [])
    return [node.op_type for node in g.nodes]
