"""Nets that return scores in place of probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of, noise

from vggrepro.errors import NetError
from vggrepro.graph.reference import reference_forward
from vggrepro.net.transforms.without_softmax import without_softmax

TWO = image(2, 3) + layer("s", "Power", "data", more="power_param { scale: 2 }")


@pytest.mark.parametrize("top", ["prob", "s"], ids=["out of place", "in place"])
def test_the_last_softmax_goes(tmp_path: Path, top: str) -> None:
    net = net_of(tmp_path, TWO + layer("prob", "Softmax", "s", top))
    scores = without_softmax(net)
    assert list(scores.outputs) == ["s"]
    x = noise({"data": (2, 3)})
    np.testing.assert_allclose(reference_forward(scores, x)["s"], 2 * x["data"])
    assert scores.params.keys() == net.params.keys()


def test_one_that_others_read_stays(tmp_path: Path) -> None:
    text = (
        TWO + layer("inner", "Softmax", "s") + layer("a", "AbsVal", "inner") + layer("prob", "Softmax", "s")
    )
    assert list(without_softmax(net_of(tmp_path, text)).outputs) == ["a"]


def test_a_net_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NetError, match="no Softmax layer at its end"):
        without_softmax(net_of(tmp_path, TWO))
