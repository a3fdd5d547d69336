"""The backward walk's own rules: who gets a gradient, and who must not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vggrepro.errors import GradientError, NetError
from vggrepro.graph.backward import build_gradient
from vggrepro.net import Net, load_net
from vggrepro.runtime.session import Session

INPUT = 'layer { name: "data" type: "Input" top: "x" top: "z" input_param { shape { dim: 2 dim: 3 } } }\n'


def net_of(tmp_path: Path, text: str) -> Net:
    path = tmp_path / "net.prototxt"
    path.write_text(INPUT + text)
    return load_net(path)


def gradients(net: Net, inputs: list[str], **feeds: np.ndarray) -> dict[str, np.ndarray]:
    zeros = {name: np.ones(shape, np.float32) for name, shape in net.inputs.items()}
    return Session(build_gradient(net, inputs=inputs)).run({**zeros, **net.params, **feeds})


def test_readers_are_summed(tmp_path: Path) -> None:
    net = net_of(
        tmp_path,
        """layer { name: "a" type: "Power" bottom: "x" top: "a" power_param { scale: 2 } }
        layer { name: "b" type: "Power" bottom: "x" top: "b" power_param { scale: 3 } }
        layer { name: "s" type: "Eltwise" bottom: "a" bottom: "b" bottom: "z" top: "s" }""",
    )
    got = gradients(net, ["x", "a"], **{"d:s": np.ones((2, 3), np.float32)})
    np.testing.assert_array_equal(got["d:x"], np.full((2, 3), 5))
    np.testing.assert_array_equal(got["d:a"], np.ones((2, 3)))


def test_a_top_that_is_not_fed_gives_nothing(tmp_path: Path) -> None:
    net = net_of(tmp_path, 'layer { name: "a" type: "Power" bottom: "x" top: "a" power_param { scale: 2 } }')
    np.testing.assert_array_equal(gradients(net, ["x"])["d:x"], np.zeros((2, 3)))


def test_a_blob_changed_in_place_gives_the_gradient_of_its_first_value(tmp_path: Path) -> None:
    net = net_of(
        tmp_path,
        """layer { name: "a" type: "Power" bottom: "x" top: "a" }
        layer { name: "b" type: "TanH" bottom: "a" top: "a" }
        layer { name: "c" type: "Power" bottom: "a" top: "c" }""",
    )
    got = gradients(net, ["a"], **{"d:c": np.ones((2, 3), np.float32)})
    np.testing.assert_allclose(got["d:a"], np.full((2, 3), 1 - np.tanh(1) ** 2), rtol=1e-5)


def test_an_outputs_own_gradient_is_refused(tmp_path: Path) -> None:
    net = net_of(tmp_path, 'layer { name: "a" type: "Power" bottom: "x" top: "a" }')
    with pytest.raises(GradientError, match="'a' is an output"):
        build_gradient(net, inputs=["a"])


def scaled(rate: str = "", after: str = "") -> str:
    return f"""layer {{ name: "a" type: "Scale" bottom: "x" top: "a" {rate} }}
        layer {{ name: "b" type: "Scale" bottom: "a" top: "b" }}
        layer {{ name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "z" top: "loss" {after} }}"""


@pytest.mark.parametrize(
    ("rate", "after", "flows"),
    [
        ("", "", (True, True)),
        ("param { lr_mult: 0 }", "", (False, True)),
        ("", "propagate_down: false propagate_down: false", (False, False)),
        ("", "loss_weight: 0", (False, False)),
    ],
)
def test_pruned_branches_are_zero(tmp_path: Path, rate: str, after: str, flows: tuple[bool, bool]) -> None:
    net = net_of(tmp_path, scaled(rate, after))
    got = gradients(net, [], z=np.zeros((2, 3), np.float32))
    assert (bool(got["d:a:0"].any()), bool(got["d:b:0"].any())) == flows


def test_force_backward_overrides_lr_mult_and_propagate_down(tmp_path: Path) -> None:
    text = "force_backward: true " + scaled(
        "param { lr_mult: 0 }", "propagate_down: false propagate_down: false"
    )
    got = gradients(net_of(tmp_path, text), ["x"], z=np.zeros((2, 3), np.float32))
    assert got["d:a:0"].any()
    assert got["d:x"].any()


def test_loss_weight_scales(tmp_path: Path) -> None:
    one = gradients(net_of(tmp_path, scaled()), [], z=np.zeros((2, 3), np.float32))
    three = gradients(net_of(tmp_path, scaled(after="loss_weight: 3")), [], z=np.zeros((2, 3), np.float32))
    np.testing.assert_allclose(three["d:a:0"], 3 * one["d:a:0"], rtol=1e-6)


def test_labels_that_learn_are_refused(tmp_path: Path) -> None:
    net = net_of(
        tmp_path,
        """layer { name: "l" type: "Scale" bottom: "z" top: "l" }
        layer { name: "r" type: "Reduction" bottom: "l" top: "r" reduction_param { axis: 1 } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "x" bottom: "r" top: "loss" }""",
    )
    with pytest.raises(
        GradientError, match="layer 'loss': SoftmaxWithLoss Layer cannot backpropagate to bottom 1"
    ):
        build_gradient(net)


def test_a_layer_without_backward_is_refused_where_a_gradient_is_needed(tmp_path: Path) -> None:
    text = """layer { name: "s" type: "Scale" bottom: "x" top: "s" }
        layer { name: "t" type: "Threshold" bottom: "s" top: "t" }
        layer { name: "loss" type: "EuclideanLoss" bottom: "t" bottom: "z" top: "loss" }"""
    with pytest.raises(GradientError, match="layer 't': Threshold has no backward pass in Caffe"):
        build_gradient(net_of(tmp_path, text))


def test_unknown_blob(tmp_path: Path) -> None:
    with pytest.raises(NetError, match="no blob 'y'"):
        build_gradient(net_of(tmp_path, scaled()), inputs=["y"])


@pytest.mark.parametrize(("given", "flows"), [("", 2), ("loss_weight: 1", 3), ("loss_weight: 0.5", 2.5)])
def test_a_loss_that_another_layer_reads(tmp_path: Path, given: str, flows: float) -> None:
    """Only a weight that is given is added to what comes back from the reader."""
    net = net_of(
        tmp_path,
        f"""layer {{ name: "l" type: "EuclideanLoss" bottom: "x" bottom: "z" top: "l" {given} }}
        layer {{ name: "p" type: "Power" bottom: "l" top: "p" power_param {{ scale: 2 }} loss_weight: 1 }}""",
    )
    got = gradients(net, ["x"], z=np.zeros((2, 3), np.float32))["d:x"]
    np.testing.assert_allclose(got, np.full((2, 3), flows / 2), rtol=1e-6)


def test_a_loss_without_a_given_weight_that_is_only_shown(tmp_path: Path) -> None:
    """Caffe's own rule: its reader needs no gradient, so the loss layer runs no backward pass."""
    net = net_of(
        tmp_path,
        """layer { name: "l" type: "EuclideanLoss" bottom: "x" bottom: "z" top: "l" }
        layer { name: "p" type: "Power" bottom: "l" top: "p" }""",
    )
    assert not gradients(net, ["x"], z=np.zeros((2, 3), np.float32))["d:x"].any()


def test_a_given_loss_weight_counts_as_a_reader(tmp_path: Path) -> None:
    with pytest.raises(NetError, match="'a' produced by multiple sources"):
        net_of(
            tmp_path,
            """layer { name: "a" type: "Power" bottom: "x" top: "a" loss_weight: 1 }
            layer { name: "r" type: "ReLU" bottom: "a" top: "a" }""",
        )


def test_a_parameter_that_layers_share_in_different_shapes(tmp_path: Path) -> None:
    """PERMISSIVE: the owner sees (2, 6), the other layer (3, 4), and each the sum in its own shape."""
    net = net_of(
        tmp_path,
        """layer { name: "w" type: "Input" top: "v" top: "u"
          input_param { shape { dim: 2 dim: 6 } shape { dim: 2 dim: 4 } } }
        layer { name: "a" type: "InnerProduct" bottom: "v" top: "a" param { name: "w" }
          inner_product_param { num_output: 2 bias_term: false } }
        layer { name: "b" type: "InnerProduct" bottom: "u" top: "b" param { name: "w" share_mode: PERMISSIVE }
          inner_product_param { num_output: 3 bias_term: false } }""",
    )
    rng = np.random.default_rng(0)
    feeds = {n: rng.standard_normal(s).astype(np.float32) for n, s in (("v", (2, 6)), ("u", (2, 4)))}
    feeds |= {n: rng.standard_normal(s).astype(np.float32) for n, s in (("d:a", (2, 2)), ("d:b", (2, 3)))}
    got = gradients(net, [], **feeds)
    total = feeds["d:a"].T @ feeds["v"] + (feeds["d:b"].T @ feeds["u"]).reshape(2, 6)
    np.testing.assert_allclose(got["d:a:0"], total, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got["d:b:0"], got["d:a:0"].reshape(3, 4))


def test_a_net_without_anything_to_take_a_gradient_of(tmp_path: Path) -> None:
    net = net_of(
        tmp_path,
        'layer { name: "r" type: "ReLU" bottom: "x" top: "r" }',
    )
    with pytest.raises(GradientError, match="has no parameters: name blobs in inputs"):
        build_gradient(net)
    with pytest.raises(GradientError, match="name blobs in inputs"):
        build_gradient(net, params=False)
    assert build_gradient(net, inputs=["x"]).gradients == {"x": "d:x"}
