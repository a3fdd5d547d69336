"""The message classes, and the stub that tells type checkers about them."""

import runpy
from pathlib import Path

import pytest
from schema_facts import compiled

from vggrepro.caffe import messages

ROOT = Path(__file__).parents[2]


def test_defaults_reach_the_classes():
    assert messages.NetParameter().force_backward is False
    assert messages.FillerParameter().type == "constant"
    assert messages.SolverParameter().delta == pytest.approx(1e-8)
    assert messages.NetState().phase == messages.TEST
    assert messages.LayerParameter().lrn_param.local_size == 5


def test_every_message_of_the_schema_is_an_attribute():
    for message in compiled().message_type:
        assert getattr(messages, message.name).DESCRIPTOR.full_name == f"caffe.{message.name}"
    with pytest.raises(AttributeError, match="NoSuchParameter"):
        _ = messages.NoSuchParameter


def test_the_stub_is_what_the_schema_generates():
    generator = runpy.run_path(str(ROOT / ".ci" / "message_stubs.py"))
    written = generator["STUB"].read_text()
    assert written == generator["stub"]()
    assert "def layer(self) -> RepeatedMessage[LayerParameter]: ..." in written
    assert "def convolution_param(self) -> ConvolutionParameter: ..." in written
    assert "    pool: int\n" in written
