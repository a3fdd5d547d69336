"""A model takes its name only if every runtime that was asked agrees with the reference."""

import os
import stat
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from vggrepro.cli.options.deployment import DeploymentOptions
from vggrepro.cli.written_model import RuntimeChecks, write_checked
from vggrepro.graph.forward import build_deployed
from vggrepro.graph.model import Graph
from vggrepro.graph.targets.convert import Deployment
from vggrepro.net import load_net
from vggrepro.verify.runtimes.written import Example

NET = """input: "data" input_dim: 1 input_dim: 2 input_dim: 4 input_dim: 5
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 15 kernel_size: 3 weight_filler { type: "gaussian" std: 0.5 } } }"""


def written(tmp_path, judge_seed, name="m.onnx", external=False):
    (tmp_path / "net.prototxt").write_text(NET)
    net = load_net(tmp_path / "net.prototxt", seed=1)
    judge = load_net(tmp_path / "net.prototxt", seed=judge_seed)

    def build(blobs):
        return build_deployed(net, Deployment("onnxruntime", None, None, half=False), outputs=blobs)

    x = np.random.default_rng(0).standard_normal((1, 2, 4, 5)).astype(np.float32)
    asked = RuntimeChecks(["onnxruntime"], [Example("noise", judge, {"data": x})], 1e-4, build)
    path = tmp_path / "out" / name
    path.parent.mkdir(exist_ok=True)
    return path, write_checked(build(None), path, DeploymentOptions(external_data=external), asked)


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


def test_a_link_and_the_rights_of_the_old_file_stay(tmp_path):
    (tmp_path / "out").mkdir()
    old, link = tmp_path / "old.onnx", tmp_path / "out" / "m.onnx"
    old.write_bytes(b"old")
    old.chmod(0o640)
    link.symlink_to(old)
    written(tmp_path, judge_seed=1)
    assert link.is_symlink()
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert old.stat().st_size > 1000


def test_a_pipe_is_written_to(tmp_path, monkeypatch):
    """As /dev/stdout and /dev/null, which no test may put at risk."""
    (tmp_path / "out").mkdir()
    pipe = tmp_path / "out" / "m.onnx"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    real, folders = tempfile.mkdtemp, []
    monkeypatch.setattr(
        tempfile, "mkdtemp", lambda *a, **named: folders.append(named.get("dir")) or real(*a, **named)
    )
    try:
        written(tmp_path, judge_seed=1)
        assert folders[0] is None  # nobody may write in /dev
        assert onnx.load_from_string(os.read(reader, 1 << 16)).graph.node
    finally:
        os.close(reader)
    assert list(pipe.parent.iterdir()) == [pipe]


def test_a_model_in_two_files_takes_its_place_as_a_whole(tmp_path, monkeypatch):
    path, _ = written(tmp_path, 1, external=True)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert before.keys() == {"m.onnx", "m.onnx.data"}
    real = Path.replace

    def replace(source, target):
        if Path(target) == path:
            raise OSError(28, "No space left on device", str(source))
        return real(source, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="No space left") as caught:
        written(tmp_path, 1, external=True)
    assert caught.value.filename == str(path)
    assert [file.name for file in path.parent.iterdir()] == [
        "m.onnx"
    ]  # never with weights that are not its own
    assert path.read_bytes() == before["m.onnx"]


def test_errors_about_the_hidden_folder_name_the_model(tmp_path, monkeypatch):
    def save(_, path, **__):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Graph, "save", save)
    with pytest.raises(OSError, match="No space left") as caught:
        written(tmp_path, 1)
    assert caught.value.filename == str(tmp_path / "out" / "m.onnx")


def test_a_hidden_folder_that_cannot_be_made_is_told_by_the_models_name(tmp_path, monkeypatch):
    def mkdtemp(**_):
        raise OSError(30, "Read-only file system", "hidden")

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with pytest.raises(OSError, match="Read-only") as caught:
        written(tmp_path, 1)
    assert caught.value.filename == str(tmp_path / "out" / "m.onnx")


def test_names_that_a_runtime_does_not_take(tmp_path):
    path, checks = written(tmp_path, 1, name="\udcff.onnx")
    assert [check.passed for check in checks] == [True]
    assert [file.name for file in path.parent.iterdir()] == ["\udcff.onnx"]


def test_a_long_name_of_wide_characters(tmp_path):
    path, _ = written(tmp_path, 1, name="\U0001d538" * 62 + ".onnx")
    assert path.exists()


@pytest.mark.parametrize("name", ["tensorrt", "nothing"])
def test_a_runtime_that_is_not_there_is_refused(name):
    from vggrepro.errors import VggReproError
    from vggrepro.verify.runtimes.written import installed

    with pytest.raises(VggReproError, match=name):
        installed(name)
