"""Graphs whose weights are kept outside: initializers, files, checks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from golden_suite import ROOT
from net_files import image, layer, net_of

from vggrepro.errors import UnsupportedError, WeightsError
from vggrepro.graph import model as module
from vggrepro.graph.forward import build_forward
from vggrepro.graph.model import LARGE, Graph, initializers
from vggrepro.net import Net
from vggrepro.verify.reference_case import ReferenceCase


def test_large_arrays_are_declared_and_kept_beside() -> None:
    small, large = np.zeros(LARGE // 4 - 1, np.float32), np.ones(LARGE // 4, np.float32)
    protos, kept = initializers({"small": small, "large": large})
    assert [proto.name for proto in protos] == ["small", "large"]
    assert [proto.data_location for proto in protos] == [
        onnx.TensorProto.DEFAULT,
        onnx.TensorProto.EXTERNAL,
    ]
    assert list(protos[1].dims) == [LARGE // 4]
    assert not protos[1].raw_data
    assert kept == {"large": large}


def test_free_axes(tmp_path: Path) -> None:
    graph = build_forward(net_of(tmp_path, image(2, 3, 4, 5) + layer("p", "Power", "data")))
    assert [graph.is_free("data", axis) for axis in range(5)] == [True, False, True, True, False]


def test_a_file_tells_the_digests_of_its_sources(tmp_path: Path) -> None:
    net = net_of(tmp_path, image(2, 3) + layer("p", "Power", "data"))
    build_forward(net).save(tmp_path / "m.onnx")
    entries = {p.key: p.value for p in onnx.load(tmp_path / "m.onnx").metadata_props}
    text = (tmp_path / "net.prototxt").read_bytes()
    assert entries["prototxt_sha256"] == hashlib.sha256(text).hexdigest()


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").write_bytes(b"old")
    graph = build_forward(net_of(tmp_path, image(2, 3) + layer("p", "Power", "data")))

    def fails(_: object) -> None:
        raise WeightsError("net.prototxt: changed while it was read")

    monkeypatch.setattr(module, "digests", fails)
    with pytest.raises(WeightsError, match="changed while it was read"):
        graph.save(tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "net.prototxt"]


def case_net(name: str) -> Net:
    return ReferenceCase(ROOT / "nets" / name).load()


def test_saved_and_complete_model_are_the_same(tmp_path: Path) -> None:
    graph = build_forward(case_net("vgg_a"))
    graph.save(tmp_path / "m.onnx")
    saved, made = onnx.load(tmp_path / "m.onnx"), graph.to_model()
    arrays = [{i.name: onnx.numpy_helper.to_array(i) for i in m.graph.initializer} for m in (saved, made)]
    assert arrays[0].keys() == arrays[1].keys()
    for name, array in arrays[0].items():
        np.testing.assert_array_equal(array, arrays[1][name])
    assert saved.metadata_props == made.metadata_props
    assert {p.key for p in saved.metadata_props} >= {"prototxt_sha256", "weights_sha256"}


def test_check_finds_what_is_wrong() -> None:
    graph = build_forward(case_net("lenet_test"))
    graph.check()
    broken = onnx.ModelProto()
    broken.CopyFrom(graph.skeleton)
    broken.graph.node[2].input[0] = "nothing"
    with pytest.raises(onnx.checker.ValidationError):
        Graph(broken, graph.weights).check()
    broken.CopyFrom(graph.skeleton)
    del broken.graph.output[0].type.tensor_type.shape.dim[:]
    broken.graph.output[0].type.tensor_type.shape.dim.add(dim_value=3)
    broken.graph.output[0].type.tensor_type.shape.dim.add(dim_value=99)
    with pytest.raises(onnx.shape_inference.InferenceError):
        Graph(broken, graph.weights).check()


def test_a_model_beyond_what_protobuf_holds(tmp_path: Path) -> None:
    graph = build_forward(case_net("lenet_test"))
    huge = np.broadcast_to(np.float32(0), (1 << 29,))
    name = next(iter(graph.weights))
    with pytest.raises(
        UnsupportedError, match=r"2,147,[0-9,]* bytes in one ONNX file, which holds at most 2,147,483,647"
    ):
        Graph(graph.skeleton, {**graph.weights, name: huge}).save(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_weights_in_a_second_file(tmp_path: Path) -> None:
    case = ReferenceCase(ROOT / "nets" / "lenet_test")
    graph = build_forward(case.load())
    graph.save(tmp_path / "one.onnx")
    graph.save(tmp_path / "m.onnx", external=True)
    assert sorted(p.name for p in tmp_path.glob("m*")) == ["m.onnx", "m.onnx.data"]
    assert (tmp_path / "m.onnx").stat().st_size < (tmp_path / "one.onnx").stat().st_size / 2
    beside, whole = (
        {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(tmp_path / name).graph.initializer}
        for name in ("m.onnx", "one.onnx")
    )
    assert beside.keys() == whole.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(beside[name], array)


def test_an_old_model_stays_with_its_weights_where_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = build_forward(case_net("lenet_test"))
    graph.save(tmp_path / "m.onnx", external=True)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    name = next(iter(graph.weights))
    changed = Graph(graph.skeleton, {**graph.weights, name: graph.weights[name] + 1})

    def stream(_: Graph, __: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Graph, "_stream", stream)
    with pytest.raises(OSError, match="No space left"):
        changed.save(tmp_path / "m.onnx", external=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_name_that_is_no_utf8_has_no_second_file(tmp_path: Path) -> None:
    graph = build_forward(case_net("lenet_test"))
    graph.save(tmp_path / "\udcff.onnx")
    (tmp_path / "\udcff.onnx").unlink()
    with pytest.raises(UnsupportedError, match=r"\udcff\.onnx: a name that is no UTF-8"):
        graph.save(tmp_path / "\udcff.onnx", external=True)
    assert not list(tmp_path.iterdir())


def test_without_large_weights_there_is_no_second_file(tmp_path: Path) -> None:
    graph = build_forward(net_of(tmp_path, image(2, 3) + layer("p", "Power", "data")))
    graph.save(tmp_path / "m.onnx", external=True)
    assert [p.name for p in tmp_path.glob("m*")] == ["m.onnx"]
