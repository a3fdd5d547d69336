"""What is no model, or no model that can be converted: one line that names the file and the place, exit
code 2, and nothing written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from golden_suite import ROOT

from vggrepro.cli.check_reference import main as check_reference
from vggrepro.cli.convert_caffemodel import main as convert
from vggrepro.cli.inspect_net import main as inspect_net

NET = ROOT / "nets" / "vgg_a"
PROTOTXT = NET / "net.prototxt"
WEIGHTS = NET / "weights.caffemodel"
JPEG = ROOT / "images" / "rocket_exif6.jpg"
TOOLS = Path(__file__).parents[2] / "tools"

IN = 'layer { name: "in" type: "Input" top: "x" input_param { shape { %s } } }\n'
SMALL = IN % "dim: 1 dim: 3 dim: 8 dim: 8"


def fails(capsys: pytest.CaptureFixture[str], code: int, *expected: str) -> None:
    """One line of error that says all of ``expected``."""
    assert code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    errors = [line for line in printed.err.splitlines() if not line.startswith("warning: ")]
    assert len(errors) == 1, printed.err
    assert errors[0].startswith("error: ")
    for text in expected:
        assert text in errors[0]


def run_convert(folder: Path, prototxt: Path, weights: Path, *options: str) -> int:
    before = set(folder.iterdir())
    code = convert([str(prototxt), str(weights), "-o", str(folder / "out.onnx"), *options])
    assert set(folder.iterdir()) == before, "something was written"
    return code


def make(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """What stands where a model should be: bytes, or what a function puts there."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)


def onnx_file(path: Path) -> None:
    assert convert([str(PROTOTXT), str(WEIGHTS), "-o", str(path)]) == 0


DEFINITIONS: dict[str, tuple[bytes | Callable[[Path], None], str]] = {
    "empty": (b"", "empty, expected a caffe.NetParameter"),
    "jpeg": (JPEG.read_bytes(), "a binary file, not a prototxt"),
    "caffemodel": (WEIGHTS.read_bytes(), "a binary file, not a prototxt"),
    "onnx": (onnx_file, "a binary file, not a prototxt"),
    "utf16": (PROTOTXT.read_text().encode("utf-16"), "a binary file, not a prototxt"),
    "truncated": (PROTOTXT.read_bytes()[:-300], ":"),
    "prose": (b"This is no network.\n", ":1:1"),
    "solver": (b'net: "x"\nbase_lr: 0.1\n', ":1:1"),
    "directory": (lambda path: path.mkdir(), "Is a directory"),
    "missing": (lambda _: None, "No such file or directory"),
    "no_layers": (b'name: "nothing"\n', "net 'nothing': no blob to output"),
    "mixed": (SMALL.encode() + b'layers { name: "a" type: RELU bottom: "x" top: "x" }', "layer"),
    "huge": ((IN % "dim: 10000000000").encode(), "layer 'in': blob size exceeds INT_MAX: top 'x'"),
    "huge_product": ((IN % "dim: 50000 dim: 50000").encode(), "blob size exceeds INT_MAX"),
    "negative": ((IN % "dim: 1 dim: -3").encode(), "'in'"),
    "huge_parameter": (
        SMALL.encode()
        + b'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y"'
        + b" inner_product_param { num_output: 2000000000 } }",
        "layer 'fc': blob size exceeds INT_MAX: parameter 0 would have shape (2000000000, 192)",
    ),
    "cycle": (
        SMALL.encode()
        + b'layer { name: "a" type: "Eltwise" bottom: "x" bottom: "b" top: "a" }\n'
        + b'layer { name: "b" type: "ReLU" bottom: "a" top: "b" }',
        "Unknown bottom blob 'b' (layer 'a', bottom index 1)",
    ),
    "own_tail": (b'layer { name: "a" type: "ReLU" bottom: "a" top: "a" }', "Unknown bottom blob 'a'"),
    "two_sources": (
        SMALL.encode() * 2,
        "Top blob 'x' produced by multiple sources",
    ),
    "unknown_types": (
        SMALL.encode()
        + b'layer { name: "a" type: "Foo" bottom: "x" top: "a" }\n'
        + b'layer { name: "p" type: "Python" bottom: "a" top: "p"'
        + b' python_param { module: "my.layers" layer: "Mine" } }\n'
        + b'layer { name: "b" type: "Bar" bottom: "p" top: "b" }',
        "layer 'a': Unknown layer type: Foo; layer 'p': Unknown layer type: Python (class 'Mine' of module"
        " 'my.layers'); layer 'b': Unknown layer type: Bar",
    ),
    "unknown_fields": (
        SMALL.encode() + b'layer { name: "a" type: "Foo" bottom: "x" top: "a" foo_param { k: 1 } }',
        "layer 'a': Unknown layer type: Foo; --layers computes them, --allow-custom",
    ),
    "filler": (
        SMALL.encode()
        + b'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y"'
        + b' inner_product_param { num_output: 2 weight_filler { type: "sobol" } } }',
        "layer 'fc': Unknown filler name: sobol",
    ),
    "pool_too_large": (
        SMALL.encode()
        + b'layer { name: "p" type: "Pooling" bottom: "x" top: "p" pooling_param { kernel_size: 99 } }',
        "layer 'p'",
    ),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definitions(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, text = DEFINITIONS[name]
    path = tmp_path / "net.prototxt"
    make(path, content)
    capsys.readouterr()
    code = run_convert(tmp_path, path, WEIGHTS, "--allow-missing")
    fails(capsys, code, text)


@pytest.mark.parametrize("name", [n for n in DEFINITIONS if n not in ("no_layers", "filler")])
def test_definitions_named_in_inspect(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, text = DEFINITIONS[name]
    path = tmp_path / "net.prototxt"
    make(path, content)
    capsys.readouterr()
    fails(capsys, inspect_net([str(path)]), text, str(path))


FILES: dict[str, tuple[bytes | Callable[[Path], None], str]] = {
    "empty": (b"", "the file is empty"),
    "jpeg": (JPEG.read_bytes(), ""),
    "prototxt": (PROTOTXT.read_bytes(), "a text file, expected one of Caffe's binary files"),
    "onnx": (onnx_file, "not a"),
    "zeros": (bytes(1000), "not a protobuf message"),
    "garbage": (np.random.default_rng(0).bytes(5000), ""),
    "npz": ((NET / "io.npz").read_bytes(), ""),
    "truncated": (WEIGHTS.read_bytes()[:-1000], "truncated"),
    "cut_in_the_head": (WEIGHTS.read_bytes()[:100], ""),
    "solverstate": (
        next((ROOT / "train").glob("*/*.solverstate")).read_bytes(),
        "not a",
    ),
    "directory": (lambda path: path.mkdir(), "Is a directory"),
    "missing": (lambda _: None, "No such file or directory"),
    "other_model": (
        (ROOT / "nets" / "lenet_test" / "weights.caffemodel").read_bytes(),
        "no weights for layer(s) conv1_1, conv2_1",
    ),
    "other_width": (
        (ROOT / "nets" / "vgg_a_224" / "weights.caffemodel").read_bytes(),
        "Cannot copy param 0 weights from layer 'conv1_1'; shape mismatch.",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_weight_files(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, text = FILES[name]
    path = tmp_path / "some.caffemodel"
    make(path, content)
    capsys.readouterr()
    fails(capsys, run_convert(tmp_path, PROTOTXT, path), str(path), text)


OPTIONS = {
    "no_such_output": (["--outputs", "prob,fc9"], "no blob 'fc9' to output; it has data, conv1_1"),
    "shape": (["--input-shape", "data=1,3,0,64"], "--input-shape takes BLOB=N,C,H,W"),
    "shape_without_name": (["--input-shape", "1,3,64,64"], "--input-shape takes BLOB=N,C,H,W"),
    "shape_of_no_input": (["--input-shape", "image=1,3,64,64"], "no input 'image'; the inputs are ['data']"),
    "size_that_the_weights_forbid": (["--input-shape", "data=1,3,96,96"], "layer 'fc6'; shape mismatch"),
    "custom_shape": (["--custom-shape", "a=1,2"], "given without allow_custom"),
    "custom_shape_of_nothing": (["--allow-custom", "--custom-shape", "a=1,2"], "custom shape of 'a'"),
    "device": (["--verify", "--device", "tpu"], "device must be cpu, cuda or cuda:N, got 'tpu'"),
    "no_input_file": (["--verify", "--input", "/nowhere/x.npy"], "/nowhere/x.npy: No such file or directory"),
    "input_file": (["--verify", "--input", str(JPEG)], "rocket_exif6.jpg: not a .npy file"),
    "input_archive": (["--verify", "--input", str(NET / "io.npz")], "io.npz: expected one array of numbers"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options, text = OPTIONS[name]
    fails(capsys, run_convert(tmp_path, PROTOTXT, WEIGHTS, *options), text)


def test_an_input_of_another_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 32, 32), np.float32))
    code = run_convert(tmp_path, PROTOTXT, WEIGHTS, "--verify", "--input", str(tmp_path / "x.npy"))
    capsys_lines = capsys.readouterr()
    assert code == 2
    assert capsys_lines.err.count("\n") == 1
    assert "layer 'fc6'" in capsys_lines.err


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("nowhere/out.onnx", "nowhere/out.onnx: No such file or directory"),
        ("", "Is a directory"),
        ("file/out.onnx", "Not a directory"),
    ],
)
def test_outputs_that_cannot_be_written(
    target: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    before = set(tmp_path.rglob("*"))
    code = convert([str(PROTOTXT), str(WEIGHTS), "-o", str(tmp_path / target)])
    fails(capsys, code, text, str(tmp_path / target))
    assert set(tmp_path.rglob("*")) == before


def test_a_full_disk(capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    fails(capsys, convert([str(PROTOTXT), str(WEIGHTS), "-o", "/dev/full"]), "No space left on device")


def test_a_failed_conversion_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    out.write_text("old")
    truncated = tmp_path / "cut.caffemodel"
    truncated.write_bytes(WEIGHTS.read_bytes()[:-10])
    assert convert([str(PROTOTXT), str(truncated), "-o", str(out)]) == 2
    assert out.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.caffemodel", "out.onnx"]


CASES: dict[str, tuple[dict[str, bytes], str]] = {
    "nothing": ({}, "not a case: no case.json in it"),
    "no_json": ({"case.json": b"{"}, "case.json: not JSON"),
    "list": ({"case.json": b"[]"}, "case.json: expected a JSON object, got list"),
    "no_phase": ({"case.json": b"{}"}, "case.json: expected a phase, TRAIN or TEST"),
    "no_net": ({"case.json": b'{"phase": "TEST"}'}, "net.prototxt: No such file or directory"),
    "no_arrays": (
        {"case.json": b'{"phase": "TEST"}', "net.prototxt": SMALL.encode()},
        "io.npz: No such file or directory",
    ),
    "arrays": (
        {"case.json": b'{"phase": "TEST"}', "net.prototxt": SMALL.encode(), "io.npz": b"PK\x03\x04 nothing"},
        "io.npz: not readable as .npz",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files, text = CASES[name]
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    assert check_reference([str(tmp_path), "--quiet"]) == 2
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1
    assert f"{tmp_path}: error: " in printed.out
    assert text in printed.out
    assert printed.err == "1 error\n"


@pytest.mark.parametrize("tool", ["convert_caffemodel", "inspect_net", "check_reference"])
def test_tools_print_no_traceback(tool: str, tmp_path: Path) -> None:
    arguments = {
        "convert_caffemodel": [JPEG, WEIGHTS, "-o", tmp_path / "x.onnx"],
        "inspect_net": [JPEG],
        "check_reference": [tmp_path, "--device", "tpu"],
    }[tool]
    done = subprocess.run(
        [sys.executable, TOOLS / f"{tool}.py", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
