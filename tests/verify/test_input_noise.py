"""The strength of the noise."""

import numpy as np
import pytest

from vggrepro.net import load_net
from vggrepro.verify.input_noise import declared_std, saturated

NET = """
layer { name: "data" type: "DummyData" top: "data" %s dummy_data_param { shape { dim: 2 dim: 3 } } }
layer { name: "p" type: "Softmax" bottom: "data" top: "p" }
"""


def net(tmp_path, field=""):
    path = tmp_path / "net.prototxt"
    path.write_text(NET % field)
    return load_net(path)


def test_noise_is_as_strong_as_the_images(tmp_path):
    assert declared_std(net(tmp_path)) == 50
    assert declared_std(net(tmp_path, "transform_param { scale: 0.02 }")) == pytest.approx(1)
    assert declared_std(net(tmp_path, "transform_param { mirror: true }")) == 50
    assert declared_std(net(tmp_path, "transform_param { scale: 0 }")) == 50  # a net of zeros tells nothing


@pytest.mark.parametrize(
    ("posteriors", "expected"),
    [([[1, 0, 0], [0, 1, 0]], True), ([[0.9, 0.1, 0], [0, 1, 0]], False), ([[0.4, 0.3, 0.3]], False)],
)
def test_posteriors_of_one_are_saturated(tmp_path, posteriors, expected):
    assert saturated(net(tmp_path), {"p": np.array(posteriors, np.float32)}) is expected
    assert saturated(net(tmp_path), {}) is False
