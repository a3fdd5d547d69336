"""Nets with layers replaced keep what they had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of

from vggrepro.errors import NetError
from vggrepro.net.transforms.rewrite import copy_of, rewritten

NET = image(1, 3) + layer("p", "InnerProduct", "data", more="inner_product_param { num_output: 2 }")


def test_other_layers_keep_their_parameters(tmp_path: Path) -> None:
    net = net_of(tmp_path, NET + layer("r", "ReLU", "p")).reshape({"data": (4, 3)})
    bias = np.array([5, 6], np.float32)
    changed = rewritten(net, [kept.message for kept in net.layers[:2]], {"p:1": bias})
    assert [kept.name for kept in changed.layers] == ["data", "p"]
    assert changed.inputs == {"data": (4, 3)} and changed.outputs == {"p": (4, 2)}
    np.testing.assert_array_equal(changed.params["p:0"], net.params["p:0"])
    np.testing.assert_array_equal(changed.params["p:1"], bias)
    assert len(net.layers) == 3, "the net itself stays"


def test_a_copy_may_be_changed(tmp_path: Path) -> None:
    message = net_of(tmp_path, NET).layers[1].message
    copy = copy_of(message)
    copy.name = "q"
    assert message.name == "p"


def test_what_no_longer_fits_together_is_refused(tmp_path: Path) -> None:
    net = net_of(tmp_path, NET)
    with pytest.raises(NetError, match="Unknown bottom blob 'data'"):
        rewritten(net, [net.layers[1].message])
