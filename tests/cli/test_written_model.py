"""A model takes its name only if every runtime that was asked agrees with the reference."""

import numpy as np
import pytest

from vggrepro.cli.options.deployment import DeploymentOptions
from vggrepro.cli.written_model import RuntimeChecks, write_checked
from vggrepro.graph.forward import build_deployed
from vggrepro.graph.targets.convert import Deployment
from vggrepro.net import load_net
from vggrepro.verify.runtimes.written import Example

NET = """input: "data" input_dim: 1 input_dim: 2 input_dim: 4 input_dim: 5
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "gaussian" std: 0.5 } } }"""


def written(tmp_path, judge_seed):
    (tmp_path / "net.prototxt").write_text(NET)
    net = load_net(tmp_path / "net.prototxt", seed=1)
    judge = load_net(tmp_path / "net.prototxt", seed=judge_seed)

    def build(blobs):
        return build_deployed(net, Deployment("onnxruntime", None, None, half=False), outputs=blobs)

    x = np.random.default_rng(0).standard_normal((1, 2, 4, 5)).astype(np.float32)
    asked = RuntimeChecks(["onnxruntime"], [Example("noise", judge, {"data": x})], 1e-4, build)
    path = tmp_path / "out" / "m.onnx"
    path.parent.mkdir()
    return path, write_checked(build(None), path, DeploymentOptions(), asked)


def test_a_model_that_is_right_is_written(tmp_path, capsys):
    path, checks = written(tmp_path, judge_seed=1)
    assert [check.passed for check in checks] == [True]
    assert [p.name for p in path.parent.iterdir()] == ["m.onnx"]
    assert "onnxruntime" in capsys.readouterr().out


def test_a_model_that_is_wrong_leaves_nothing(tmp_path, capsys):
    path, checks = written(tmp_path, judge_seed=2)
    assert [check.passed for check in checks] == [False]
    assert list(path.parent.iterdir()) == []
    assert "m.onnx: not written" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tensorrt", "nothing"])
def test_a_runtime_that_is_not_there_is_refused(name):
    from vggrepro.errors import VggReproError
    from vggrepro.verify.runtimes.written import installed

    with pytest.raises(VggReproError, match=name):
        installed(name)
