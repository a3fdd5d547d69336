"""NdPooling: window by window against loops, central differences, and where forks count differently."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, tie_free

from vggrepro import load_net, to_onnx
from vggrepro.errors import NetError, ShapeError, UnsupportedError

KERNEL, STRIDE, PAD = (2, 3, 2), (2, 1, 3), (1, 1, 0)


def shapes(kernel=KERNEL, stride=STRIDE, pad=PAD, more=""):
    given = {"kernel_shape": kernel, "stride_shape": stride, "pad_shape": pad}
    parts = (f"{n} {{ {' '.join(f'dim: {v}' for v in values)} }}" for n, values in given.items() if values)
    return f'type: "NdPooling" pooling_param {{ {" ".join(parts)} {more} }}'


def expected(x, kernel, stride, pad, up, reduce):
    """The counts of video-caffe's ``compute_output_shape`` (up) or the pull request's, and each window."""
    counts = []
    for size, k, s, p in zip(x.shape[2:], kernel, stride, pad, strict=True):
        steps = (size + 2 * p - k) / s
        count = int(np.ceil(steps) if up else np.floor(steps)) + 1
        counts.append(count - 1 if p and (count - 1) * s >= size + p else count)
    y = np.zeros((*x.shape[:2], *counts))
    for place in np.ndindex(*counts):
        spans = [
            range(max(i * s - p, 0), min(i * s - p + k, size))
            for i, k, s, p, size in zip(place, kernel, stride, pad, x.shape[2:], strict=True)
        ]
        seen = [x[(slice(None), slice(None), *at)] for at in product(*spans)]
        y[(slice(None), slice(None), *place)] = reduce(seen, axis=0)
    return y


@pytest.mark.parametrize("mode", ["CEIL", "FLOOR"])
@pytest.mark.parametrize("fixed", [True, False])
def test_maxima(mode: str, fixed: bool) -> None:
    x = tie_free(np.random.default_rng(0), (2, 3, 5, 4, 7))
    layer = parse(shapes(more=f"round_mode: {mode}"))
    (y,) = check_forward(layer, [x], dims=None if fixed else [(None, 3, None, None, None)])
    wanted = expected(x, KERNEL, STRIDE, PAD, mode == "CEIL", np.max)
    np.testing.assert_array_equal(y, wanted)
    assert y.shape[2:] == ((3, 4, 3) if mode == "CEIL" else (3, 4, 2))
    check_gradient(layer, [x])


def test_averages() -> None:
    x = tie_free(np.random.default_rng(1), (2, 3, 4, 5, 6))
    layer = parse(shapes((2, 3, 2), (2, 1, 2), (), "pool: AVE engine: CUDNN"))
    (y,) = check_forward(layer, [x])
    np.testing.assert_allclose(
        y, expected(x, (2, 3, 2), (2, 1, 2), (0, 0, 0), True, np.mean), rtol=1e-5, atol=1e-6
    )
    check_gradient(layer, [x])
    floor = parse(shapes((2, 3, 2), (2, 1, 3), (), "pool: AVE round_mode: FLOOR"))
    (y,) = check_forward(floor, [x], dims=[(None, 3, None, None, None)])
    np.testing.assert_allclose(
        y, expected(x, (2, 3, 2), (2, 1, 3), (0, 0, 0), False, np.mean), rtol=1e-5, atol=1e-6
    )
    check_gradient(floor, [x])


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_one_window_over_all(pool: str) -> None:
    x = tie_free(np.random.default_rng(2), (2, 3, 4, 2, 3))
    layer = parse(shapes((1, 1, 1), (), (), f"pool: {pool} global_pooling: true"))
    (y,) = check_forward(layer, [x])
    reduce = np.max if pool == "MAX" else np.mean
    np.testing.assert_allclose(y, reduce(x, axis=(2, 3, 4), keepdims=True), rtol=1e-5, atol=1e-6)
    check_gradient(layer, [x])


def test_where_forks_count_differently(tmp_path) -> None:
    layer = parse(shapes((2, 2, 2), (2, 2, 2), ()))
    assert layer.out_shapes([(1, 3, 2, 4, 6)]) == ((1, 3, 1, 2, 3),)
    with pytest.raises(
        UnsupportedError, match=r"sizes \(2, 7, 7\), where video-caffe .* add round_mode: CEIL or"
    ):
        layer.out_shapes([(1, 3, 2, 7, 7)])
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "x" input_shape { dim: 1 dim: 2 dim: 2 dim: 7 dim: 7 }'
        ' layer { name: "p" bottom: "x" top: "p" ' + shapes((2, 2, 2), (2, 2, 2), ()) + " }"
    )
    net = load_net(path, fork="video-caffe")
    assert net.outputs == {"p": (1, 2, 1, 4, 4)}
    assert [d.dim_value for d in to_onnx(net).graph.output[0].type.tensor_type.shape.dim][2:] == [1, 4, 4]


def test_refuses() -> None:
    for more, message in (
        ("kernel_size: 2", "NdPooling does not read kernel_size"),
        ("pool: STOCHASTIC", "NdPooling STOCHASTIC: only MAX and AVE"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            parse(shapes(more=more))
    with pytest.raises(NetError, match="Kernel shape is required"):
        parse(shapes(()))
    with pytest.raises(NetError, match=r"stride shape \(1, 1\) and pad shape \(0, 0, 0\) don't match"):
        parse(shapes((1, 1, 1), (1, 1), ()))
    with pytest.raises(NetError, match="kernel and stride must be positive"):
        parse(shapes((1, 1, 1), (1, 0, 1), ()))
    with pytest.raises(
        ShapeError, match=r"Kernel shape \(2, 3, 2\) for a bottom with axes of sizes \(4, 4\)"
    ):
        parse(shapes()).out_shapes([(1, 3, 4, 4)])
    with pytest.raises(UnsupportedError, match=r"averages of windows of .* that reach beyond"):
        parse(shapes(more="pool: AVE round_mode: CEIL")).out_shapes([(1, 3, 5, 4, 7)])
