"""Which gradients a backward pass computes."""

from __future__ import annotations

from pathlib import Path

import pytest
from net_files import image, layer, net_of

from vggrepro.graph.need_backward import needed_gradients
from vggrepro.net import Net

PRODUCT = "inner_product_param { num_output: 3 } "
FROZEN = "param { lr_mult: 0 } param { lr_mult: 0 } "


def chain(tmp_path: Path, first: str = "", second: str = "", before: str = "") -> Net:
    """data -> a -> b -> loss, with the target from ``t``."""
    text = before + image(2, 3) + image(2, 3, name="t")
    text += layer("a", "InnerProduct", "data", more=PRODUCT + first)
    text += layer("b", "InnerProduct", "a", more=PRODUCT + second)
    return net_of(tmp_path, text + layer("loss", "EuclideanLoss", "b t"))


def flags(net: Net, *, params: bool = True, values: tuple[str, ...] = ()) -> dict[str, tuple]:
    needed = needed_gradients(net, params=params, values=frozenset(values))
    return {
        placed.name: (flag.bottoms, flag.params)
        for placed, flag in zip(net.layers, needed, strict=True)
        if not placed.layer.source
    }


def test_only_what_leads_to_a_parameter(tmp_path: Path) -> None:
    assert flags(chain(tmp_path)) == {
        "a": ((False,), (True, True)),
        "b": ((True,), (True, True)),
        "loss": ((True, False), ()),
    }


def test_frozen_layers_before_the_first_that_learns_are_left_out(tmp_path: Path) -> None:
    found = flags(chain(tmp_path, first=FROZEN))
    assert found["a"] == ((False,), (False, False))
    assert found["b"] == ((False,), (True, True))


def test_a_frozen_layer_behind_one_that_learns_passes_on(tmp_path: Path) -> None:
    assert flags(chain(tmp_path, second=FROZEN))["b"] == ((True,), (False, False))


def test_a_wanted_value_needs_no_parameter(tmp_path: Path) -> None:
    found = flags(chain(tmp_path), params=False, values=("data",))
    assert found == {
        "a": ((True,), (False, False)),
        "b": ((True,), (False, False)),
        "loss": ((True, False), ()),
    }
    assert flags(chain(tmp_path), params=False)["b"] == ((False,), (False, False))


@pytest.mark.parametrize("propagate", ["false", "true"])
def test_propagate_down_cuts_a_branch(tmp_path: Path, propagate: str) -> None:
    found = flags(chain(tmp_path, second=f"propagate_down: {propagate}"))
    assert found["b"] == ((propagate == "true",), (True, True))
    assert found["a"][1] == (True, True)  # it learns in any case: Caffe looks at lr_mult alone


def test_force_backward_makes_frozen_parameters_learn(tmp_path: Path) -> None:
    found = flags(chain(tmp_path, first=FROZEN, before="force_backward: true\n"))
    assert found["a"] == ((False,), (True, True))
    assert found["b"] == ((True,), (True, True))
