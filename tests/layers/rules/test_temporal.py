"""Fields of C3D's layers in the messages of both of its versions."""

from __future__ import annotations

import pytest
from google.protobuf import text_format

from vggrepro.caffe.messages import LayerParameter
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.rules.temporal import check_axes, temporal_message, temporal_param, triple

POOLING = "pooling3d_param", "pooling_param"
CONVOLUTION = "convolution3d_param", "convolution_param"


def layer(text: str) -> LayerParameter:
    return text_format.Parse(f'type: "X" {text}', LayerParameter())


@pytest.mark.parametrize("name", POOLING)
def test_either_message(name: str) -> None:
    p = temporal_param(layer(f"{name} {{ kernel_size: 3 kernel_depth: 2 stride: 4 }}"), *POOLING)
    assert triple(p, "kernel_depth", "kernel_size", 0) == (2, 3, 3)
    assert triple(p, "temporal_stride", "stride", 1) == (1, 4, 4)


def test_a_message_without_sizes_can_be_looked_at() -> None:
    assert temporal_message(layer(""), *CONVOLUTION).bias_term
    assert not temporal_message(layer("convolution3d_param { bias_term: false }"), *CONVOLUTION).bias_term


def test_repeated_fields() -> None:
    p = temporal_param(layer("convolution_param { kernel_size: 3 kernel_depth: 2 }"), *CONVOLUTION)
    assert triple(p, "kernel_depth", "kernel_size", 0) == (2, 3, 3)
    assert triple(p, "temporal_stride", "stride", 7) == (1, 7, 7)
    p.stride.extend([1, 2])
    with pytest.raises(UnsupportedError, match=r"stride must be given once in C3D's layers, got \[1, 2\]"):
        triple(p, "temporal_stride", "stride", 1)


def test_what_is_not_c3d() -> None:
    with pytest.raises(UnsupportedError, match="convolution_param: X does not read dilation"):
        temporal_param(
            layer("convolution_param { kernel_size: 3 kernel_depth: 2 dilation: 2 }"), *CONVOLUTION
        )
    with pytest.raises(NetError, match="X: kernel_size and kernel_depth must be positive"):
        temporal_param(layer("pooling_param { kernel_size: 3 }"), *POOLING)
    with pytest.raises(ShapeError, match=r"X: the bottom must be .* got \(1, 2\)"):
        check_axes("X", (1, 2))
