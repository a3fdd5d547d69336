"""A user's own layers get their parameters by the user's own schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from net_files import image, layer

import vggrepro
from vggrepro.errors import ParseError, UnknownFieldError
from vggrepro.layers import registry
from vggrepro.layers.base import Emitted, Gradients, Referenced

PROTO = """
package caffe;
message NetParameter { repeated LayerParameter layer = 100; }
message GainParameter { optional float strength = 1 [default = 2]; }
message LayerParameter {
  optional string name = 1;
  optional string type = 2;
  repeated string bottom = 3;
  repeated string top = 4;
  optional GainParameter gain_param = 200;
}
"""


@dataclass(frozen=True)
class Gain(vggrepro.Layer[None]):
    """y = strength * x."""

    type = "OwnGain"

    strength: float

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Gain:
        return cls(param.gain_param.strength)

    def out_shapes(self, bottoms: Any) -> Any:
        return (bottoms[0],)

    def emit(self, g: Any, bottoms: Any, params: Any, states: Any) -> Emitted[None]:
        return Emitted((g.op("Mul", bottoms[0].name, g.const(self.strength)),), None)

    def grad(self, g: Any, saved: None, d_tops: Any, needed: Any) -> Gradients:
        return Gradients((g.op("Mul", d_tops[0], g.const(self.strength)),))

    def reference(self, bottoms: Any, params: Any, states: Any) -> Referenced:
        return Referenced((self.strength * bottoms[0],))


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    vggrepro.register_layer(Gain)
    yield
    del registry._REGISTRY[Gain.type]


@pytest.fixture
def proto(tmp_path: Path) -> Path:
    path = tmp_path / "own.proto"
    path.write_text(PROTO)
    return path


def write(folder: Path, more: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text(image(2, 3) + layer("gain", "OwnGain", "data", more=more))
    return path


def test_fields_of_the_schema_reach_the_layer(tmp_path: Path, proto: Path) -> None:
    x = np.ones((2, 3), np.float32)
    for more, factor in (("gain_param { strength: 5 }", 5), ("gain_param { }", 2)):
        net = vggrepro.load_net(write(tmp_path, more), proto=proto)
        assert (vggrepro.reference_forward(net, {"data": x})["gain"] == factor).all()


def test_without_the_schema_the_field_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(UnknownFieldError, match='no field named "gain_param"'):
        vggrepro.load_net(write(tmp_path, "gain_param { strength: 5 }"))


def test_a_text_that_the_schema_does_not_fit(tmp_path: Path, proto: Path) -> None:
    with pytest.raises(
        ParseError, match=r"net.prototxt: layer 'gain': by .*own.proto: .*no field named \"odd\""
    ):
        vggrepro.load_net(write(tmp_path, "gain_param { odd: 5 }"), proto=proto)


def test_fields_of_other_layers_stay_unknown(tmp_path: Path, proto: Path) -> None:
    path = write(tmp_path, "gain_param { strength: 5 }")
    path.write_text(path.read_text() + layer("r", "ReLU", "gain", more="gain_param { strength: 3 }"))
    with pytest.raises(UnknownFieldError, match="gain_param"):
        vggrepro.load_net(path, proto=proto)


def test_the_solver_takes_the_schema_too(tmp_path: Path, proto: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        image(2, 3)
        + image(2, 2, name="y")
        + layer("gain", "OwnGain", "data", more="gain_param { strength: 3 }")
        + layer("ip", "InnerProduct", "gain", more="inner_product_param { num_output: 2 }")
        + layer("loss", "EuclideanLoss", "ip y")
    )
    (tmp_path / "solver.prototxt").write_text(f'net: "{path}" base_lr: 1 lr_policy: "fixed"')
    solver = vggrepro.Solver(tmp_path / "solver.prototxt", proto=proto, threads=1)
    solver.step([{"data": np.ones((2, 3), np.float32), "y": np.ones((2, 2), np.float32)}])
    np.testing.assert_allclose(solver.params["ip:0"], 3, rtol=1e-6)  # 1 * the gain * 1 / 2 * 2
