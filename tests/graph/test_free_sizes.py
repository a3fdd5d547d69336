"""Which sizes a graph leaves free, and which it must not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vggrepro.graph.forward import build_forward
from vggrepro.graph.reference import reference_forward
from vggrepro.net import load_net
from vggrepro.runtime.session import Session


def free_axes(tmp_path: Path, shape: tuple[int, ...], layer: str) -> list[int]:
    """The free axes of the input x, after a comparison of the layer's top y with the reference."""
    dims = " ".join(f"dim: {size}" for size in shape)
    path = tmp_path / "net.prototxt"
    path.write_text(
        f'layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}\n'
        f'layer {{ name: "l" bottom: "x" top: "y" {layer} }}'
    )
    net, graph = load_net(path), build_forward(load_net(path))
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    got = Session(graph, threads=1).run({"x": x})["y"]
    np.testing.assert_allclose(got, reference_forward(net, {"x": x})["y"], rtol=1e-5, atol=1e-6)
    declared = graph.to_model().graph.input[0].type.tensor_type.shape.dim
    return [axis for axis, size in enumerate(declared) if not size.HasField("dim_value")]


CONV = 'convolution_param { num_output: 2 kernel_size: 4 stride: 4 weight_filler { type: "xavier" } }'
COLUMNS = "convolution_param { kernel_size: 4 stride: 4 }"


@pytest.mark.parametrize("layer", [f'type: "Convolution" {CONV}', f'type: "Im2col" {COLUMNS}'])
@pytest.mark.parametrize(
    ("shape", "free"), [((2, 3, 4, 8), [0, 2, 3]), ((2, 3, 1, 8), [0]), ((2, 3, 8, 3), [0])]
)
def test_a_window_beyond_its_input_fixes_the_size(
    tmp_path: Path, layer: str, shape: tuple[int, ...], free: list[int]
) -> None:
    """Caffe rounds (1 - 4) / 4 to 0 and counts that window, which no rule for free sizes would."""
    assert free_axes(tmp_path, shape, layer) == free
