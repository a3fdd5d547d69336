"""Parameters that layers share by name (Caffe's AppendParam)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vggrepro.errors import NetError, ShapeError
from vggrepro.net import Net, load_net
from vggrepro.net.sharing import attach_params

INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 } } }\n'


def shared(tmp_path: Path, first: str, second: str, outputs: int = 4) -> Net:
    def layer(name: str, spec: str, num_output: int) -> str:
        return f"""layer {{ name: "{name}" type: "InnerProduct" bottom: "x" top: "{name}"
            param {{ name: "w" {spec} }}
            inner_product_param {{
                num_output: {num_output} bias_term: false weight_filler {{ type: "xavier" }}
            }} }}\n"""

    path = tmp_path / "net.prototxt"
    path.write_text(INPUT + layer("a", first, 4) + layer("b", second, outputs))
    return load_net(path)


def multipliers(net: Net) -> set[tuple[str, float, float]]:
    return {(use.owner, use.lr_mult, use.decay_mult) for use in net.param_uses}


@pytest.mark.parametrize(
    ("first", "second", "lr", "decay"),
    [
        ("", "", 1, 1),
        ("lr_mult: 3", "", 3, 1),
        ("", "lr_mult: 3 decay_mult: 0", 3, 0),
        ("lr_mult: 1", "lr_mult: 1 decay_mult: 2", 1, 2),
    ],
)
def test_a_multiplier_may_be_given_anywhere(
    tmp_path: Path, first: str, second: str, lr: float, decay: float
) -> None:
    net = shared(tmp_path, first, second)
    assert multipliers(net) == {("a:0", lr, decay)}
    np.testing.assert_array_equal(net.params["a:0"], net.params["b:0"])


@pytest.mark.parametrize("name", ["lr_mult", "decay_mult"])
def test_two_layers_must_not_differ(tmp_path: Path, name: str) -> None:
    """An explicit 1 counts, although 1 is the default."""
    with pytest.raises(NetError, match=f"layer 'b': Shared param 'w' has mismatched {name}. .2 vs. 1.$"):
        shared(tmp_path, f"{name}: 1", f"{name}: 2")


def test_each_layer_says_for_itself_whether_it_needs_a_gradient(tmp_path: Path) -> None:
    net = shared(tmp_path, "lr_mult: 0", "")
    assert [use.needs_gradient for use in net.param_uses] == [False, True]
    assert {use.lr_mult for use in net.param_uses} == {0}


def test_shapes_must_fit(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"Owner layer param shape is 4 4 \(16\);.* shape 3 4 \(12\)"):
        shared(tmp_path, "", "", outputs=3)


def test_statistics_are_not_learned_but_decay_as_in_caffe(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(INPUT + 'layer { name: "n" type: "BatchNorm" bottom: "x" top: "n" }')
    assert multipliers(load_net(path)) == {(f"n:{i}", 0, 1) for i in range(3)}


def test_more_specifications_than_parameters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NetError, match=r"Too many params specified for layer a \(2 vs. 1\)"):
        shared(tmp_path, "} param { lr_mult: 2", "")


def test_permissive_sharing_asks_for_the_same_number_of_elements(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        INPUT
        + 'layer { name: "y" type: "Input" top: "y" input_param { shape { dim: 2 dim: 8 } } }'
        + 'layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }'
        + " inner_product_param { num_output: 4 bias_term: false } }"
        + 'layer { name: "b" type: "InnerProduct" bottom: "y" top: "b"'
        + ' param { name: "w" share_mode: PERMISSIVE }'
        + " inner_product_param { num_output: 2 bias_term: false } }"
    )
    net = load_net(path)
    assert [(use.key, use.owner) for use in net.param_uses] == [("a:0", "a:0"), ("b:0", "a:0")]
    assert net.params["b:0"].shape == (2, 8)
    path.write_text(path.read_text().replace("num_output: 2", "num_output: 3"))
    with pytest.raises(ShapeError, match=r"count mismatch.* shape is 4 4 \(16\);.* shape is 3 8 \(24\)"):
        load_net(path)


def test_attaching_again_changes_nothing(tmp_path: Path) -> None:
    net = shared(tmp_path, "lr_mult: 3", "")
    assert attach_params(net.layers, net.shapes) == net.layers


def test_a_parameter_keeps_off_the_name_of_a_blob(tmp_path: Path) -> None:
    """TensorFlow's converters call the tops of a layer ``layer:index``."""
    path = tmp_path / "net.prototxt"
    path.write_text(
        INPUT
        + """layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc:0"
            inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }"""
    )
    assert list(load_net(path).params) == ["fc:0'", "fc:1"]
