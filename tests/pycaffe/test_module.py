"""The module as a whole: names, installation, modes, drawing, what is refused."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from google.protobuf import text_format
from nets import CLASSIFYING, DEPLOY, make, write
from numpy.testing import assert_array_equal

import vggrepro.pycaffe as caffe
from vggrepro.caffe.text import parse_net
from vggrepro.pycaffe import draw, mode
from vggrepro.pycaffe.proto import caffe_pb2


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_installed_as_caffe() -> None:
    done = python(
        "import vggrepro.pycaffe; vggrepro.pycaffe.install()\n"
        "import caffe, caffe.io, caffe.draw, caffe.proto.caffe_pb2 as pb\n"
        "from caffe import layers as L, params as P, to_proto\n"
        "from caffe.proto import caffe_pb2\n"
        "from caffe.coord_map import crop\n"
        "import caffe.classifier\n"
        "assert caffe is vggrepro.pycaffe and caffe.TEST == 1 == pb.TEST == caffe_pb2.Phase.Value('TEST')\n"
        "assert caffe.io.Transformer and caffe.Net and P.Eltwise.SUM == 1\n"
        "print(to_proto(L.Input(shape=dict(dim=[1]))).layer[0].type)"
    )
    assert (done.stdout, done.stderr) == ("Input\n", "")


def test_the_modules_below_have_the_names_of_caffe_s() -> None:
    done = python(
        "import vggrepro.pycaffe; vggrepro.pycaffe.install()\n"
        "import caffe\n"
        "from caffe._caffe import RawBlobVec, BlobVec, Blob, LayerVec, Solver, layer_type_list\n"
        "from caffe.pycaffe import *\n"
        "assert Net is caffe.Net is caffe.pycaffe.Net is caffe._caffe.Net and SGDSolver is caffe.SGDSolver\n"
        "assert issubclass(caffe.AdamSolver, Solver) and caffe._caffe.BlobVec is RawBlobVec\n"
        "assert layer_type_list() == caffe.layer_type_list()"
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_parameters_are_of_the_type_that_scripts_ask_for(tmp_path: Path) -> None:
    net = make(tmp_path, DEPLOY)
    assert all(type(blobs) is caffe._caffe.BlobVec for blobs in net.params.values())
    assert isinstance(net.blobs["data"], caffe._caffe.Blob) and isinstance(net.layers, caffe._caffe.LayerVec)


def test_a_module_of_a_fork_is_found_on_the_script_s_path(tmp_path: Path) -> None:
    """SSD's model_libs lies in its folder python/caffe, beside what this package replaces."""
    folder = tmp_path / "python" / "caffe"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('the package itself is not imported')")
    (folder / "io.py").write_text("raise SystemExit('nor what is here already')")
    (folder / "model_libs.py").write_text("from caffe import layers as L, params as P\nBODY = L.Input\n")
    done = python(
        "import sys, vggrepro.pycaffe; vggrepro.pycaffe.install(), vggrepro.pycaffe.install()\n"
        f"sys.path.insert(0, {str(tmp_path / 'python')!r})\n"
        "import caffe, caffe.io\n"
        "from caffe.model_libs import *\n"
        "assert P is caffe.params and caffe.model_libs.BODY is BODY\n"
        "try: import caffe.nothing\n"
        "except ModuleNotFoundError as error: print(error.name)"
    )
    assert (done.stdout, done.stderr) == ("caffe.nothing\n", "")


def test_another_caffe_is_not_replaced() -> None:
    done = python(
        "import sys, types; sys.modules['caffe'] = types.ModuleType('caffe')\n"
        "import vggrepro.pycaffe\n"
        "try: vggrepro.pycaffe.install()\n"
        "except RuntimeError as error: print(error)"
    )
    assert "another module called caffe" in done.stdout


def test_messages() -> None:
    assert caffe_pb2.PoolingParameter.MAX == 0 and caffe_pb2.TRAIN == 0
    assert caffe_pb2.Phase.Name(1) == "TEST"
    assert "NetParameter" in dir(caffe_pb2)
    names: dict[str, object] = {}
    exec("from vggrepro.pycaffe.proto.caffe_pb2 import *", names)
    datum = caffe_pb2.Datum(channels=3)
    assert pickle.loads(pickle.dumps(datum)) == datum
    assert names["LayerParameter"] is caffe_pb2.LayerParameter is vars(caffe_pb2)["LayerParameter"]
    with pytest.raises(AttributeError):
        _ = caffe_pb2.NoSuchParameter


def test_descriptors_as_protoc_names_them() -> None:
    assert caffe_pb2._POOLINGPARAMETER is caffe_pb2.PoolingParameter.DESCRIPTOR
    assert caffe_pb2._POOLINGPARAMETER_POOLMETHOD.values_by_name["AVE"].number == 1
    assert caffe_pb2._PHASE.values_by_number[caffe_pb2.TEST].name == "TEST"


def test_types_of_layers_as_scripts_of_2014_name_them() -> None:
    net = caffe_pb2.NetParameter()
    text_format.Parse('layers { name: "x" type: CONVOLUTION }', net)
    assert net.layers[0].type == caffe_pb2.LayerParameter.CONVOLUTION
    assert caffe_pb2.LayerParameter.LayerType.Name(net.layers[0].type) == "CONVOLUTION"


def test_layer_types() -> None:
    assert {"Data", "Convolution", "InnerProduct", "Python"} <= set(caffe.layer_type_list())


def test_version_and_timer() -> None:
    assert caffe.__version__ == "1.0.0"
    timer = caffe.Timer()
    timer.start()
    timer.stop()
    assert timer.ms >= 0


def test_seed(tmp_path: Path) -> None:
    weights = []
    for seed in (5, 5, 6):
        caffe.set_random_seed(seed)
        weights.append(make(tmp_path, DEPLOY).params["ip"][0].data)
    assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).any()


def test_one_solver_only() -> None:
    assert caffe.solver_count() == 1 and caffe.solver_rank() == 0 and not caffe.has_nccl()
    caffe.set_solver_count(1), caffe.set_solver_rank(0), caffe.set_multiprocess(False)
    for call in (lambda: caffe.set_solver_count(2), lambda: caffe.set_solver_rank(1)):
        with pytest.raises(RuntimeError, match="mpirun"):
            call()


def test_one_solver_as_train_py_drives_it(tmp_path: Path) -> None:
    """The calls of Caffe's python/train.py for one GPU, on the CPU."""
    write(tmp_path, CLASSIFYING)
    text = f'net: "{tmp_path}/net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 2'
    uid = caffe.NCCL.new_uid()
    caffe.set_multiprocess(True)
    solver = caffe.SGDSolver(write(tmp_path, text, "solver.prototxt"))
    nccl = caffe.NCCL(solver, uid)
    nccl.bcast()
    solver.add_callback(nccl)
    assert solver.param.layer_wise_reduce
    solver.net.after_backward(nccl)
    solver.net.add_nccl(nccl)
    solver.step(solver.param.max_iter)
    assert solver.iter == 2


def test_mpi_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    caffe.mpi_init()
    monkeypatch.setattr(mode, "find_ranks", lambda: SimpleNamespace(size=2))
    with pytest.raises(RuntimeError, match=r"mpi_init: 2 solvers: .* mpirun"):
        caffe.mpi_init()


def test_gpu_mode_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    for call in (caffe.set_mode_gpu, lambda: caffe.set_device(1)):
        with pytest.raises(RuntimeError, match=r"device cuda:[01]"):
            call()
    caffe.set_mode_cpu()


def test_a_layer_can_ask_for_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (caffe.check_mode_cpu(), caffe.check_mode_gpu(), caffe.get_device()) == (True, False, 0)
    monkeypatch.setattr(mode, "_STATE", mode._Caffe(gpu=True, device=3))
    assert (caffe.check_mode_cpu(), caffe.check_mode_gpu(), caffe.get_device()) == (False, True, 3)


def test_log(capfd: pytest.CaptureFixture[str]) -> None:
    caffe.init_log(0)
    caffe.log("hello")
    caffe.init_log(2, True)
    caffe.init_log()  # the level stays
    caffe.log("not this")
    caffe.init_log(0)
    caffe.set_logging_disabled()
    caffe.log("nor this")
    caffe.init_log(0)
    line = capfd.readouterr().err
    assert line.startswith("I") and line.endswith("] hello\n")


def test_labels_of_a_picture() -> None:
    net = parse_net(CLASSIFYING)
    conv = net.layer[1]
    conv.param.add(lr_mult=2)
    assert draw.get_layer_label(conv, "LR") == r'"conv\n(Convolution)\nkernel size: 3\nstride: 1\npad: 0"'
    assert draw.get_layer_label(conv, "TB", display_lrm=True).endswith('pad: 0 lr mult: 2.0, 1.0"')
    assert draw.get_edge_label(conv) == "7" and draw.get_edge_label(net.layer[2]) == '""'
    assert draw.choose_color_by_layertype("Pooling") != draw.choose_color_by_layertype("ReLU")
    assert draw.get_pooling_types_dict() == {0: "MAX", 1: "AVE", 2: "STOCHASTIC"}
    with pytest.raises(ValueError, match="ReLU layers do not have a learning rate multiplier"):
        draw.get_layer_lr_mult(net.layer[2])


def test_graph_of_a_picture() -> None:
    pytest.importorskip("pydot")
    net = parse_net(CLASSIFYING)
    of_a_script = caffe_pb2.NetParameter()
    text_format.Parse(CLASSIFYING, of_a_script)
    for drawn in (net, of_a_script):
        text = draw.get_pydot_graph(drawn, "LR", phase=caffe.TEST).to_string()
        assert "rankdir=LR" in text and "SoftmaxWithLoss" in text and text.count("->") == 11


def test_drawing_needs_pydot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(RuntimeError, match=r"vggrepro\[draw\]"):
        draw.draw_net(parse_net(CLASSIFYING), "LR")


def test_a_frozen_net_is_as_any(tmp_path: Path) -> None:
    """With and without constant parameters the same values come out, to rounding."""
    net = make(tmp_path, DEPLOY)
    x = np.random.default_rng(0).random((2, 3, 8, 9), np.float32)
    first = net.forward(data=x)["prob"].copy()
    held = net.params["ip"][0].data
    np.testing.assert_allclose(net.forward(data=x)["prob"], first, rtol=1e-5)
    assert held.any()
