"""Numbers of bottoms, tops and flags, in Caffe's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.errors import NetError
from vggrepro.net import load_net

INPUT = 'layer { name: "x" type: "Input" top: "x" top: "z" input_param { shape { dim: 2 dim: 3 } } }\n'


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ('type: "ReLU" top: "y"', r"ReLU Layer takes 1 bottom blob\(s\) as input\. \(got 0\)"),
        (
            'type: "Eltwise" bottom: "x" top: "y"',
            r"Eltwise Layer takes at least 2 bottom blob\(s\) as input\.",
        ),
        ('type: "Scale" bottom: "x" bottom: "z" bottom: "z" top: "y"', r"Scale Layer takes at most 2 bottom"),
        (
            'type: "ReLU" bottom: "x" top: "y" top: "w"',
            r"ReLU Layer produces 1 top blob\(s\) as output\. \(got 2\)",
        ),
        ('type: "Split" bottom: "x"', r"Split Layer produces at least 1 top blob\(s\) as output\."),
        ('type: "Pooling" bottom: "x" top: "y" top: "w" top: "v"', r"Pooling Layer produces at most 2 top"),
        (
            'type: "ReLU" bottom: "x" top: "y" propagate_down: true propagate_down: true',
            r"propagate_down param must be specified either 0 or bottom_size times \(2 vs\. 1\)",
        ),
        (
            'type: "Softmax" bottom: "x" top: "y" softmax_param { axis: -3 }',
            r"axis -3 out of range for 2-D Blob with shape 2 3 \(6\)",
        ),
    ],
)
def test_refused(tmp_path: Path, layer: str, message: str) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(INPUT + f'layer {{ name: "l" {layer} }}')
    with pytest.raises(NetError, match=message):
        load_net(path)


def test_a_loss_without_a_top_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(INPUT + 'layer { name: "l" type: "EuclideanLoss" bottom: "x" bottom: "z" }')
    net = load_net(path)
    assert net.layers[-1].tops == ("l/(automatic)_0",) and net.layers[-1].loss_weights == (1.0,)
