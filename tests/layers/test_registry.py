"""The registry of types, and a layer from outside the package: as docs/own-layers.md shows it, it does all
that the package's own do."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from harness import check_forward, check_gradient, parse, tie_free

import vggrepro
from vggrepro.caffe.messages import LayerParameter
from vggrepro.errors import NetError, RegistrationError, UnknownLayerError
from vggrepro.layers import registry
from vggrepro.layers.base import register
from vggrepro.layers.registry import find_layer_class, known_types, layer_class, set_up_definition
from vggrepro.net.transforms.deploy import to_deploy

PAGE = Path(__file__).parents[2] / "docs" / "own-layers.md"

GAIN = """layer { name: "gain" type: "ChannelGain" bottom: "x" top: "gain"
  python_param { param_str: '{"strength": 0.5}' } }
"""

NET = (
    'layer { name: "x" type: "Input" top: "x" top: "label"'
    " input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 } shape { dim: 2 } } }\n"
    + GAIN
    + """layer { name: "ip" type: "InnerProduct" bottom: "gain" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
)


@pytest.fixture(autouse=True)
def unchanged_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.load_catalogue()
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


def test_every_type_is_found_by_its_exact_string() -> None:
    assert len(known_types()) > 60
    for name in known_types():
        assert layer_class(name).type == name
    assert find_layer_class("relu") is None
    with pytest.raises(UnknownLayerError, match=r"^Unknown layer type: relu$") as caught:
        layer_class("relu")
    assert caught.value.types == ("relu",)


def test_a_type_is_found_without_the_rest_of_the_catalogue() -> None:
    code = (
        "import sys; from vggrepro.layers.registry import find_layer_class\n"
        "for name in sys.argv[1:]:\n"
        "    assert find_layer_class(name), name\n"
        "    assert 'vggrepro.layers.yolov3' not in sys.modules, name"
    )
    own = [name for name in known_types() if layer_class(name).origin == "BVLC Caffe"]
    subprocess.check_call([sys.executable, "-c", code, *own])


def test_two_modules_must_not_claim_a_type() -> None:
    with pytest.raises(ValueError, match="'ReLU' is registered twice"):
        register(layer_class("ReLU"))


def test_set_up_gives_losses_their_weight_and_leaves_others_alone() -> None:
    weights = {}
    for kind in ("HingeLoss", "SoftmaxWithLoss", "ReLU", "Nobody's"):
        definition = LayerParameter(type=kind)
        set_up_definition(definition)
        weights[kind] = list(definition.loss_weight)
    assert weights == {"HingeLoss": [1], "SoftmaxWithLoss": [1], "ReLU": [], "Nobody's": []}
    given = LayerParameter(type="HingeLoss", loss_weight=[0.5])
    set_up_definition(given)
    assert list(given.loss_weight) == [0.5]
    statistics = LayerParameter(type="BatchNorm")
    set_up_definition(statistics)
    assert [spec.lr_mult for spec in statistics.param] == [0, 0, 0]


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Any]:
    """The module of the page's Python block, imported as a user's own."""
    (code,) = re.findall("```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = tmp_path / "channel_gain_example.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[path.stem]


@pytest.fixture
def prototxt(example: Any, tmp_path: Path) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return path


def inputs(seed: int = 0) -> dict[str, np.ndarray]:
    return {
        "x": tie_free(np.random.default_rng(seed), (2, 3, 4, 5)),
        "label": np.array([1, 3], np.float32),
    }


def test_its_rules_agree_with_its_reference(example: Any) -> None:
    layer = parse("""type: "ChannelGain" python_param { param_str: '{"strength": 2}' }""")
    rng = np.random.default_rng(0)
    x, gain = tie_free(rng, (2, 3, 4, 5)), tie_free(rng, (3,))
    check_forward(layer, [x], [gain], dims=[(None, 3, None, None)])
    check_gradient(layer, [x], [gain])


def test_it_is_loaded_and_converted(prototxt: Path) -> None:
    net = vggrepro.load_net(prototxt)
    assert net.layers[1].layer.strength == 0.5
    np.testing.assert_array_equal(net.params["gain:0"], np.ones(3, np.float32))
    model = vggrepro.to_onnx(net, outputs=["gain", "ip"])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {i.name: inputs()[i.name] for i in session.get_inputs()}
    expected = vggrepro.reference_forward(net, inputs())
    for name, value in zip(["gain", "ip"], session.run(["gain", "ip"], fed), strict=True):
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)


def test_gradients_go_through_it(prototxt: Path) -> None:
    net = vggrepro.load_net(prototxt)
    model = vggrepro.gradient_model(net, inputs=["x"])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = ["d:x", "d:gain:0"]
    fed = {**inputs(), **net.params}
    got = session.run(names, {i.name: fed[i.name] for i in session.get_inputs() if i.name in fed})
    x = inputs()["x"].astype(np.float64)
    loss = [
        vggrepro.reference_forward(net, {**inputs(), "x": x + step * np.eye(1, 120, 7).reshape(x.shape)})[
            "loss"
        ]
        for step in (1e-4, -1e-4)
    ]
    np.testing.assert_allclose(got[0].flat[7], (loss[0] - loss[1]) / 2e-4, rtol=1e-3)
    assert got[1].shape == (3,) and np.abs(got[1]).min() > 0


def test_it_is_trained_and_saved(prototxt: Path, tmp_path: Path) -> None:
    (tmp_path / "solver.prototxt").write_text(
        f'net: "{prototxt}" base_lr: 0.5 lr_policy: "fixed" max_iter: 9 snapshot_prefix: "{tmp_path}/s"\n'
    )
    solver = vggrepro.Solver(tmp_path / "solver.prototxt")
    losses = [solver.step([inputs()]) for _ in range(5)]
    assert losses[-1] < losses[0]
    assert np.abs(solver.params["gain:0"] - 1).min() > 1e-4
    weights, _ = solver.snapshot()
    net = vggrepro.load_net(prototxt, weights)
    np.testing.assert_array_equal(net.params["gain:0"], solver.params["gain:0"])
    assert b'{"strength": 0.5}' in Path(weights).read_bytes()


def test_it_is_deployed(prototxt: Path) -> None:
    net = to_deploy(vggrepro.load_net(prototxt))
    assert [layer.layer.type for layer in net.layers] == ["Input", "ChannelGain", "InnerProduct", "Softmax"]
    assert list(net.outputs) == ["prob"]


def test_its_errors_name_the_layer(prototxt: Path, example: Any) -> None:
    @dataclass(frozen=True)
    class Refusing(example.ChannelGain):
        @classmethod
        def from_param(cls, param: Any, phase: int) -> Refusing:
            raise NetError("strength is missing")

    vggrepro.register_layer(Refusing, replace=True)
    with pytest.raises(NetError, match=rf"^{re.escape(str(prototxt))}: layer 'gain': strength is missing$"):
        vggrepro.load_net(prototxt)


def test_a_type_that_exists_is_replaced_only_on_request(example: Any) -> None:
    class ReLU(example.ChannelGain):
        type = "ReLU"

    with pytest.raises(RegistrationError, match="layer type 'ReLU' exists; replace=True takes its place"):
        vggrepro.register_layer(ReLU)
    assert vggrepro.register_layer(ReLU, replace=True) is ReLU
    assert layer_class("ReLU") is ReLU


def test_what_is_no_complete_layer_is_refused() -> None:
    class Half(vggrepro.Layer[None]):
        type = "Half"

    with pytest.raises(
        RegistrationError, match=r"'Half': .*Half lacks emit, from_param, out_shapes, reference"
    ):
        vggrepro.register_layer(Half)
    with pytest.raises(RegistrationError, match=r"expected a subclass of vggrepro.Layer with a type"):
        vggrepro.register_layer(dict)


def test_a_type_that_nobody_registered_is_an_error_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    with pytest.raises(UnknownLayerError, match="layer 'gain': Unknown layer type: ChannelGain") as caught:
        vggrepro.load_net(path)
    assert caught.value.types == ("ChannelGain",)


def test_the_page_shows_how_a_prototxt_names_it(example: Any) -> None:
    (block,) = re.findall("```\n(layer .*?)```", PAGE.read_text(), re.DOTALL)
    text = block.removeprefix("layer {").strip().removesuffix("}")
    assert parse(text).strength == json.loads('{"strength": 0.5}')["strength"]
