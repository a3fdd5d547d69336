"""Where one top lies in another."""

from __future__ import annotations

import numpy as np
import pytest

import vggrepro.pycaffe as caffe
from vggrepro.pycaffe import layers as L
from vggrepro.pycaffe import params as P
from vggrepro.pycaffe.coord_map import AxisMismatchException, compose, coord_map_from_to, crop


def net(kernel=3, stride=1, pad=0, pool=2, up=2, up_pad=0, dims=(100, 100)) -> caffe.NetSpec:
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[2, 1, *dims]))
    n.conv = L.Convolution(n.data, num_output=10, kernel_size=kernel, stride=stride, pad=pad)
    n.pool = L.Pooling(n.conv, pool=P.Pooling.MAX, kernel_size=pool, stride=pool, pad=0)
    n.up = L.Deconvolution(
        n.pool, convolution_param=dict(num_output=1, kernel_size=2 * up, stride=up, pad=up_pad)
    )
    return n


@pytest.mark.parametrize("pool, shift", [(2, 0), (4, -1)])
def test_convolution_pooling_deconvolution(pool: int, shift: int) -> None:
    n = net(pool=pool, up=pool)
    assert coord_map_from_to(n.up, n.data) == (1, 1, shift)


def test_padding_shifts() -> None:
    (_, _, plain), (_, _, padded), (_, _, up_padded) = (
        coord_map_from_to(n.up, n.data) for n in (net(), net(pad=3), net(up_pad=3))
    )
    assert padded == plain - 3 and up_padded == plain + 3


def test_axes_are_mapped_by_themselves() -> None:
    both = net(kernel=[3, 5], stride=[1, 2], pad=[0, 10])
    (axis, scale, shift) = coord_map_from_to(both.up, both.data)
    for index, options in enumerate((dict(kernel=3), dict(kernel=5, stride=2, pad=10))):
        single = net(**options)
        assert coord_map_from_to(single.up, single.data) == (axis, scale[index], shift[index])


def test_layers_that_leave_values_in_place() -> None:
    n = net()
    n.relu = L.ReLU(n.up)
    assert coord_map_from_to(n.relu, n.data) == coord_map_from_to(n.up, n.data)


def test_crop_of_a_crop() -> None:
    n = net()
    n.cropped = L.Crop(n.up, n.data, axis=2, offset=4)
    axis, scale, shift = coord_map_from_to(n.up, n.data)
    assert coord_map_from_to(n.cropped, n.data) == (axis, scale, shift + 4)


def test_crop() -> None:
    n = net(pad=5)
    n.score = crop(n.up, n.data)
    layer = n.to_proto().layer[-1]
    assert layer.type == "Crop" and layer.crop_param.axis == 2 and list(layer.crop_param.offset) == [5]


def test_what_cannot_be_cropped() -> None:
    n = net()
    n.flat = L.InnerProduct(n.up, num_output=1)
    with pytest.raises(RuntimeError, match="Could not compute map between tops"):
        coord_map_from_to(n.flat, n.data)
    with pytest.raises(AssertionError, match="scale mismatch"):
        crop((m := net(pool=3)).up, m.data)
    with pytest.raises(AssertionError, match="negative"):
        crop((m := net(up_pad=10)).up, m.data)
    with pytest.raises(AssertionError, match="noninteger"):
        crop((m := net(kernel=2, pad=1)).conv, m.data)
    with pytest.raises(AssertionError, match="legacy"):
        n.other = L.Convolution(n.data, kernel_size=3, stride_h=2)
        coord_map_from_to(n.other, n.data)
    with pytest.raises(AxisMismatchException):
        compose((1, 1, 0), (2, 1, 0))


def test_three_dimensions() -> None:
    n = net(kernel=[3, 3, 3], stride=[1, 1, 1], pad=[0, 1, 2], dims=(50, 50, 50))
    axis, scale, shift = coord_map_from_to(n.up, n.data)
    assert axis == 1 and np.all(scale == 1) and list(shift - shift[0]) == [0, -1, -2]
