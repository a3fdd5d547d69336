"""What is amiss with a net that shall be converted."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_suite import ROOT

from vggrepro.cli.net_to_convert import check_order, require_weights, warn_of_training
from vggrepro.errors import OptionError, WeightsError
from vggrepro.net import load_net

LENET = ROOT / "nets" / "lenet_test"


def test_files_in_the_wrong_order() -> None:
    prototxt, weights = str(LENET / "net.prototxt"), str(LENET / "weights.caffemodel")
    check_order(prototxt, weights)
    check_order("none", weights)
    with pytest.raises(OptionError, match="expected the prototxt first"):
        check_order(weights, prototxt)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    net = load_net(LENET / "net.prototxt")
    with pytest.raises(WeightsError, match=r"w\.caffemodel: no weights for layer\(s\) conv1, "):
        require_weights(net, "w.caffemodel")
    require_weights(load_net(LENET / "net.prototxt", LENET / "weights.caffemodel"), "w.caffemodel")


def test_a_training_net_is_told() -> None:
    with pytest.warns(
        UserWarning, match="a training net: the model keeps accuracy, loss and the input label"
    ):
        warn_of_training(load_net(LENET / "net.prototxt"), "net.prototxt")
