"""The conversion command from end to end: golden nets, the demo's net, options, metadata."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from golden_suite import ROOT, cases

from vggrepro.cli import convert_caffemodel
from vggrepro.cli.convert_caffemodel import main
from vggrepro.emit import library_versions
from vggrepro.verify.reference_case import ReferenceCase
from vggrepro.version import __version__

REPOSITORY = Path(__file__).parents[2]
DEMO = REPOSITORY / "vggrepro" / "demo"
NETS = [
    c
    for c in cases("net")
    if c.about["has_params"] and not c.about.get("stages") and not c.about.get("level")
]


def convert(case: ReferenceCase, out: Path, *options: str) -> int:
    folder = case.folder
    return main([str(folder / "net.prototxt"), str(folder / "weights.caffemodel"), "-o", str(out), *options])


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("case", NETS, ids=lambda c: c.folder.name)
def test_golden_nets_are_verified(
    case: ReferenceCase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.onnx"
    assert convert(case, out, "--phase", case.about["phase"], "--verify") == 0
    table = capsys.readouterr().out
    for blob in case.arrays("out"):
        assert any(line.split()[0] == blob for line in table.splitlines())
    assert "FAILED" not in table
    onnx.checker.check_model(out, full_check=True)


@pytest.mark.parametrize("name", ["vgg_a", "vgg_d_dense_75x101", "resnet_like", "lenet_test"])
def test_the_file_gives_what_caffe_gives(name: str, tmp_path: Path) -> None:
    case = ReferenceCase(ROOT / "nets" / name)
    assert convert(case, tmp_path / "m.onnx") == 0
    outputs = [o.name for o in session(tmp_path / "m.onnx").get_outputs()]
    got = session(tmp_path / "m.onnx").run(outputs, case.arrays("in"))
    for blob, array in zip(outputs, got, strict=True):
        assert case.compare(f"out:{blob}", array).passed


def test_the_demos_net(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(DEMO / "VGG_A_digits_deploy.prototxt"), str(DEMO / "VGG_A_digits.caffemodel")]
    out = tmp_path / "demo.onnx"
    assert main([*files, "-o", str(out), "--verify", "--fully-conv"]) == 0
    assert "64x64" in capsys.readouterr().out
    images = np.zeros((1, 3, 70, 93), np.float32)
    (scores,) = session(out).run(None, {session(out).get_inputs()[0].name: images})
    assert scores.ndim == 4


def test_metadata(tmp_path: Path) -> None:
    case = ReferenceCase(ROOT / "nets" / "vgg_a")
    out = tmp_path / "m.onnx"
    files = [str(case.folder / name) for name in ("net.prototxt", "weights.caffemodel")]
    command = [*files, "-o", str(out), "--mean", "103.939,116.779,123.68"]
    assert main(command) == 0
    entries = {p.key: p.value for p in onnx.load(out).metadata_props}
    assert entries == {
        "vggrepro_version": __version__,
        "caffe_phase": "TEST",
        "channel_order": "BGR",
        "command": f"vggrepro convert-caffemodel {' '.join(command)}",
        "library_versions": ", ".join(f"{n} {v}" for n, v in library_versions().items()),
        "target": "onnxruntime",
        "mean_pixel": "103.939,116.779,123.68",
        "prototxt_file": "net.prototxt",
        "prototxt_sha256": sha256(case.folder / "net.prototxt"),
        "weights_file": "weights.caffemodel",
        "weights_sha256": sha256(case.folder / "weights.caffemodel"),
    }


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_model_as_in_memory(tmp_path: Path) -> None:
    case = ReferenceCase(ROOT / "nets" / "googlenet_like")
    assert convert(case, tmp_path / "m.onnx") == 0
    from vggrepro import to_onnx

    written, made = onnx.load(tmp_path / "m.onnx"), to_onnx(case.load())
    for model in (written, made):
        by_name = sorted(model.graph.initializer, key=lambda i: i.name)
        del model.graph.initializer[:]
        model.graph.initializer.extend(by_name)
        of_command = ("channel_order", "command", "library_versions", "target")
        kept = [p for p in model.metadata_props if p.key not in of_command]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
    assert written == made


def test_both_binary_formats_give_the_same_model(tmp_path: Path) -> None:
    folder = ROOT / "nets" / "vgg_a"
    graphs = []
    for weights in ("weights", "weights_v1"):
        out = tmp_path / f"{weights}.onnx"
        assert (
            main([str(folder / "net.prototxt"), str(folder / f"{weights}.caffemodel"), "-o", str(out)]) == 0
        )
        graphs.append(onnx.load(out).graph)
    assert graphs[0] == graphs[1]


def test_no_names_of_outputs_are_not_all_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        convert(NETS[0], tmp_path / "m.onnx", "--outputs", "")
    assert "argument --outputs: expected different names" in capsys.readouterr().err


def test_outputs_leave_out_what_they_do_not_need(tmp_path: Path) -> None:
    case = ReferenceCase(ROOT / "nets" / "vgg_a")
    assert convert(case, tmp_path / "m.onnx", "--outputs", "pool5,conv3_1") == 0
    model = onnx.load(tmp_path / "m.onnx")
    assert [o.name for o in model.graph.output] == ["pool5", "conv3_1"]
    assert not [i.name for i in model.graph.initializer if i.name.startswith("fc")]
    got = session(tmp_path / "m.onnx").run(None, case.arrays("in"))
    for blob, array in zip(("pool5", "conv3_1"), got, strict=True):
        assert case.compare(f"blob:{blob}", array).passed


def test_a_training_net_is_deployed_and_folded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = ReferenceCase(ROOT / "nets" / "resnet_like_train")
    out = tmp_path / "m.onnx"
    options = ["--deploy", "--fold-batchnorm", "--verify", "--json", str(tmp_path / "v.json")]
    assert convert(case, out, "--phase", "TEST", *options) == 0
    graph = onnx.load(out).graph
    assert [i.name for i in graph.input] == ["data"]
    assert [o.name for o in graph.output] == ["prob"]
    assert not {node.op_type for node in graph.node} & {"Sub", "Div", "Sqrt"}
    report = json.loads((tmp_path / "v.json").read_text())
    assert report["passed"] is True
    blobs = {blob["blob"] for blob in report["runs"][0]["blobs"]}
    assert "prob" in blobs
    assert "bn_conv1" not in blobs


def test_folding_is_judged_by_the_net_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong fold must fail, although the folded net equals its own reference."""
    import vggrepro.net.transforms.fold_batchnorm as transform

    case = ReferenceCase(ROOT / "nets" / "resnet_like")
    fold = transform.fold_batchnorm

    def wrong(net):
        folded = fold(net)
        return folded.with_params({"conv1:1": folded.params["conv1:1"] + 1})

    monkeypatch.setattr(transform, "fold_batchnorm", wrong)
    assert convert(case, tmp_path / "m.onnx", "--fold-batchnorm", "--verify") == 1
    assert "not written: beyond tolerance: conv1" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_tolerance_that_float32_cannot_keep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = ReferenceCase(ROOT / "nets" / "vgg_a")
    out = tmp_path / "m.onnx"
    assert convert(case, out, "--verify", "--tolerance", "1e-12", "--json", str(tmp_path / "v.json")) == 1
    printed = capsys.readouterr()
    assert printed.out.count("FAILED") > 10
    assert printed.err.startswith(f"error: {out}: not written: beyond tolerance: conv1_1, ")
    assert json.loads((tmp_path / "v.json").read_text())["passed"] is False
    assert not out.exists()


def test_verify_on_a_given_picture_of_any_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = ReferenceCase(ROOT / "nets" / "vgg_a")
    picture = np.random.default_rng(0).normal(0, 50, (1, 3, 81, 66))
    np.save(tmp_path / "x.npy", picture)
    options = ["--verify", "--fully-conv", "--input", str(tmp_path / "x.npy")]
    assert convert(case, tmp_path / "m.onnx", *options) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("data 1x3x81x66:\n")
    assert "(1, 10, 2, 2)" in printed


def test_surgery_over_a_flattened_map_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "nets" / "lenet_test" / "net.prototxt").read_text()
    layers = 'layer { name: "flat" type: "Flatten" bottom: "pool2" top: "flat" }\n'
    before, bottom, after = text.partition('bottom: "pool2"')
    head = before.rindex("layer {")
    (tmp_path / "net.prototxt").write_text(before[:head] + layers + before[head:] + 'bottom: "flat"' + after)
    weights = str(ROOT / "nets" / "lenet_test" / "weights.caffemodel")
    files = [str(tmp_path / "net.prototxt"), weights, "-o", str(tmp_path / "m.onnx")]
    assert bottom
    assert main([*files, "--deploy", "--fully-conv", "--verify"]) == 0
    assert any(line.startswith("flat ") for line in capsys.readouterr().out.splitlines())


def test_missing_weights_may_be_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = ROOT / "nets" / "vgg_a" / "weights.caffemodel"
    text = (ROOT / "nets" / "vgg_a" / "net.prototxt").read_text().replace('"fc8"', '"fc8_new"')
    (tmp_path / "new.prototxt").write_text(text)
    files = [str(tmp_path / "new.prototxt"), str(weights), "-o", str(tmp_path / "m.onnx")]
    assert main(files) == 2
    error = capsys.readouterr().err
    assert error == (
        f"error: {weights}: no weights for layer(s) fc8_new; --allow-missing keeps their fillers' values\n"
    )
    assert main([*files, "--allow-missing"]) == 0


def test_a_custom_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ROOT / "nets" / "vgg_a_dense_65x65"
    odd = 'layer { name: "odd" type: "Oddity" bottom: "prob" top: "odd" odd_param { k: 3 } }  # mine'
    path = tmp_path / "net.prototxt"
    path.write_text((folder / "net.prototxt").read_text() + odd)
    files = [str(path), str(folder / "weights.caffemodel"), "-o", str(tmp_path / "m.onnx")]
    assert main(files) == 2
    assert "layer 'odd': Unknown layer type: Oddity" in capsys.readouterr().err
    assert main([*files, "--allow-custom", "--verify"]) == 2
    assert (
        "error: custom nodes cannot be run: ONNX Runtime has no vggrepro.caffe::Oddity"
        in capsys.readouterr().err
    )
    assert main([*files, "--allow-custom", "--custom-shape", "odd=0,5"]) == 0
    assert "warning: layer 'odd': becomes the custom node vggrepro.caffe::Oddity\n" in capsys.readouterr().err
    graph = onnx.load(tmp_path / "m.onnx").graph
    (node,) = (n for n in graph.node if n.domain)
    assert {a.name: a.s.decode() if a.s else a.i for a in node.attribute} == {
        "prototxt": odd.removesuffix("  # mine"),
        "bottoms": 1,
    }
    assert [d.dim_value or d.dim_param for d in graph.output[0].type.tensor_type.shape.dim] == ["N", 5]


def test_a_conversion_needs_no_runtime(tmp_path: Path) -> None:
    """Without --verify neither ONNX Runtime nor OpenCV is imported: they cost time and memory."""
    code = (
        "import sys; from vggrepro.cli.convert_caffemodel import main; code = main(sys.argv[1:]);"
        "print(code, [m for m in ('onnxruntime', 'cv2', 'h5py', 'tqdm') if m in sys.modules])"
    )
    folder = ROOT / "nets" / "lenet_test"
    files = [folder / "net.prototxt", folder / "weights.caffemodel", "-o", tmp_path / "m.onnx"]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=True)
    assert done.stdout == "0 []\n"


def test_what_only_verification_needs_is_refused_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = ReferenceCase(ROOT / "nets" / "lenet_test")
    assert convert(case, tmp_path / "m.onnx", "--json", str(tmp_path / "v.json")) == 2
    assert capsys.readouterr().err == "error: --json: expected --verify with it\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mean", ["1,2", "a,b,c", "1,2,nan"])
def test_a_mean_has_three_numbers(mean: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        convert(ReferenceCase(ROOT / "nets" / "lenet_test"), tmp_path / "m.onnx", "--mean", mean)
    assert capsys.readouterr().err.startswith("error: argument --mean: expected ")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_vgg16_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of it: half a gigabyte of weights, made as a published file is laid out, and its 15.5 GMACs."""
    from vggrepro.caffe.snapshot import write_caffemodel
    from vggrepro.net import load_net

    deploy = REPOSITORY / "prototxt" / "D" / "deploy.prototxt"
    net = load_net(deploy, fill=False)
    rng = np.random.default_rng(0)
    blobs = {}
    for placed in net.layers:
        shapes = [use.definition.shape for use in placed.params]
        scales = [np.float32(np.sqrt(2 / np.prod(s[1:]))) if len(s) > 1 else np.float32(0.1) for s in shapes]
        arrays = [c * rng.standard_normal(s, np.float32) for c, s in zip(scales, shapes, strict=True)]
        if arrays:
            blobs[placed.name] = arrays
    weights = tmp_path / "vgg16.caffemodel"
    write_caffemodel(weights, net.message, blobs)
    out = tmp_path / "vgg16.onnx"
    assert main([str(deploy), str(weights), "-o", str(out), "--verify"]) == 0
    assert "prob" in capsys.readouterr().out
    assert out.stat().st_size > 138_357_544 * 4


UNUSED = (
    *("cv2", "onnxruntime", "concurrent.futures", "vggrepro.data.decode", "vggrepro.verify.comparison"),
    *("vggrepro.layers.detection_output", "vggrepro.net.transforms.fully_convolutional"),
)
"""What a mere conversion has no use for."""


def test_a_mere_conversion_imports_only_what_it_needs(tmp_path: Path) -> None:
    folder = ROOT / "nets" / "lenet_test"
    code = (
        "import sys; from vggrepro.cli.convert_caffemodel import main; code = main(sys.argv[2:])\n"
        "print(code, [name for name in sys.argv[1].split() if name in sys.modules])"
    )
    files = [str(folder / "net.prototxt"), str(folder / "weights.caffemodel"), "-o", str(tmp_path / "m.onnx")]
    printed = subprocess.check_output([sys.executable, "-c", code, " ".join(UNUSED), *files], text=True)
    assert printed.splitlines()[-1] == "0 []"


@pytest.mark.parametrize("ending", [".caffemodel", ".h5", ".hdf5"])
def test_weights_are_digested_before_the_options_are_read(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Path | None] = []

    def digesting(path: Path | None) -> AbstractContextManager[None]:
        begun.append(path)
        return nullcontext()

    monkeypatch.setattr(convert_caffemodel, "digesting", digesting)
    weights = tmp_path / f"w{ending}"
    assert main([str(tmp_path / "no.prototxt"), str(weights), "-o", str(tmp_path / "m.onnx")]) == 2
    assert begun == [weights]
