"""Figures of a small net, by hand."""

from __future__ import annotations

from pathlib import Path

from net_files import image, layer, net_of

from vggrepro.net.inspect import inspect

CONVOLUTION = "convolution_param { num_output: 4 kernel_size: 3 }"


def test_figures_by_hand(tmp_path: Path) -> None:
    net = net_of(
        tmp_path,
        image(1, 3, 10, 10)
        + layer("conv", "Convolution", "data", more=CONVOLUTION)
        + layer("relu", "ReLU", "conv", "conv")
        + layer("pool", "Pooling", "conv", more="pooling_param { kernel_size: 2 stride: 2 }")
        + layer("conv2", "Convolution", "pool", more=CONVOLUTION)
        + layer("fc", "InnerProduct", "conv2", more="inner_product_param { num_output: 5 }"),
    )
    rows, totals = inspect(net)
    by_name = {row.name: row for row in rows}
    conv, relu, conv2, fc = (by_name[name] for name in ("conv", "relu", "conv2", "fc"))
    assert (conv.shape, conv.parameters, conv.macs) == ((1, 4, 8, 8), 4 * 27 + 4, 64 * 4 * 27)
    assert (conv.field, conv.stride, conv.bytes) == ((3, 3), (1, 1), 4 * 256)
    assert (relu.bytes, relu.parameters, relu.macs) == (0, 0, 0)
    assert (by_name["pool"].field, by_name["pool"].stride) == ((4, 4), (2, 2))
    assert (conv2.field, conv2.stride) == ((8, 8), (2, 2))
    assert (fc.field, fc.macs) == ((10, 10), 16 * 5)
    assert totals.parameters == sum(row.parameters for row in rows) == 112 + 148 + 85
    assert totals.as_json() == {"parameters": 345, "macs": totals.macs, "bytes": totals.bytes}
    assert rows[1].as_json()["shape"] == (1, 4, 8, 8)


def test_what_sees_no_window_has_no_field(tmp_path: Path) -> None:
    net = net_of(tmp_path, image(1, 3, 4, 4) + layer("mvn", "MVN", "data") + layer("r", "ReLU", "mvn"))
    rows, _ = inspect(net)
    assert [row.field for row in rows] == [(1, 1), None, None]
