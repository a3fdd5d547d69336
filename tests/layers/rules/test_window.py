"""The sizes of convolutions, against windows that are counted one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vggrepro.layers.rules.window import WindowParam, conv_size, deconv_size, extent

small = st.integers(1, 6)


@given(size=st.integers(1, 20), kernel=small, stride=small, pad=st.integers(0, 6), dilation=small)
def test_windows_of_a_convolution(size: int, kernel: int, stride: int, pad: int, dilation: int) -> None:
    reach = extent(kernel, dilation)
    fitting = [b for b in range(-pad, size + pad, stride) if b + reach <= size + pad]
    short = 0 < reach - size - 2 * pad < stride  # C++ rounds the number of steps up to 0 there
    if fitting or short:
        assert conv_size(size, kernel, stride, pad, dilation) == (len(fitting) or 1)
    else:
        assert conv_size(size, kernel, stride, pad, dilation) < 1


@given(size=st.integers(1, 20), kernel=small, stride=small, pad=st.integers(0, 6), dilation=small)
def test_a_deconvolution_gives_back_a_size_that_leaves_no_rest(
    size: int, kernel: int, stride: int, pad: int, dilation: int
) -> None:
    back = deconv_size(size, kernel, stride, pad, dilation)
    if back > 0:
        assert conv_size(back, kernel, stride, pad, dilation) == size


def test_a_kernel_alone() -> None:
    windows = WindowParam.of_kernel(2, 3).resolve(2)
    assert windows.kernel == (2, 3)
    assert windows.conv_sizes((None, 7)) == (None, 5)
    assert not windows.pointwise
    assert WindowParam.of_kernel(1).resolve(3).pointwise
