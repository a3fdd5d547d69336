"""The upgrade command: Caffe's three tools in one, with their exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vggrepro.caffe import messages, text
from vggrepro.cli.upgrade_prototxt import main

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
CASES = sorted(path.name for path in (GOLDEN / "upgrade").iterdir())


@pytest.mark.parametrize("case", CASES)
def test_golden(case, tmp_path, capsys):
    folder = GOLDEN / "upgrade" / case
    facts = json.loads((folder / "case.json").read_text())
    solver, binary = "solver" in facts["tool"], "binary" in facts["tool"]
    suffix = ".caffemodel" if binary else ".prototxt"
    new = tmp_path / f"new{suffix}"
    code = main([str(folder / f"old{suffix}"), "-o", str(new), *["--solver"] * solver])
    assert code == facts["exit_code"]
    expected = folder / f"new{suffix}"
    if binary:
        assert new.read_bytes() == expected.read_bytes()
    else:
        read = text.read_solver if solver else text.read_net
        assert read(new) == read(expected)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert ("File already in latest proto format" in printed.err) == bool(facts["message"])


def test_the_tool_writes_to_standard_output_and_reports_to_standard_error():
    old = GOLDEN / "upgrade" / "input_dims" / "old.prototxt"
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "upgrade_prototxt.py", old],
        capture_output=True,
        text=True,
        check=True,
    )
    assert text.parse_net(done.stdout) == text.read_net(old.with_name("new.prototxt"))
    assert done.stderr == f"{old}: upgraded deprecated input fields\n"


def test_problems_are_reported_and_the_result_is_written_all_the_same(tmp_path, capsys):
    old, new = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    old.write_text('layers { layer { name: "r" type: "relu" pad: 1 stride: 2 } }')
    assert main([str(old), "-o", str(new)]) == 1
    assert text.read_net(new) == text.parse_net('layer { name: "r" type: "ReLU" }')
    problems = [line for line in capsys.readouterr().err.splitlines() if line.startswith("problem: ")]
    assert problems == [
        f"problem: {old}: layer 'r': Unknown parameter {name} for layer type relu"
        for name in ("pad", "stride")
    ]


def test_a_file_can_be_upgraded_in_its_place(tmp_path):
    path = tmp_path / "w.caffemodel"
    path.write_bytes((GOLDEN / "upgrade" / "binary_v1" / "old.caffemodel").read_bytes())
    assert main([str(path), "-o", str(path)]) == 0
    assert path.read_bytes() == (GOLDEN / "upgrade" / "binary_v1" / "new.caffemodel").read_bytes()


def test_fields_of_forks(tmp_path, capsys):
    old, new = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    old.write_text('layer { name: "r" fork_param { a: 1 } }')
    assert main([str(old), "-o", str(new)]) == 2
    assert not new.exists()
    assert main([str(old), "-o", str(new), "--allow-unknown"]) == 0
    assert text.read_net(new) == text.parse_net('layer { name: "r" }')
    errors = capsys.readouterr().err.splitlines()
    found = f'{old}:1:19: Message type "caffe.LayerParameter" has no field named "fork_param"'
    assert errors[:2] == [
        f"error: {found}.",
        f"warning: {old}: left out, as no number depends on it: LayerParameter.fork_param (1:19)",
    ]


def test_unknown_fields_inside_a_binary_file_are_left_out(tmp_path, capsys):
    blob = messages.BlobProto(data=[1], shape=messages.BlobShape(dim=[1])).SerializeToString()
    net = messages.NetParameter(name="n", layer=[messages.LayerParameter(name="x")])
    net.layer[0].blobs.add().ParseFromString(blob)
    clean = net.SerializeToString()
    net.layer[0].blobs[0].MergeFromString(b"\xa0\x06\x01")  # field 100
    net.layer[0].MergeFromString(b"\xc8\x3e\x01")  # field 1001
    old, new = tmp_path / "old.caffemodel", tmp_path / "new.caffemodel"
    old.write_bytes(net.SerializeToString())
    assert main([str(old), "-o", str(new)]) == 0
    assert new.read_bytes() == clean
    assert "LayerParameter field 1001" in capsys.readouterr().err


def test_raw_values_of_nvcaffe_become_floats(tmp_path):
    half = np.array([1.5, -2], "<f2").tobytes()
    blob = messages.BlobProto(shape={"dim": [2]}, raw_data_type=2, raw_data=half)
    net = messages.NetParameter(layer=[{"name": "x", "blobs": [blob]}])
    old, new = tmp_path / "old.caffemodel", tmp_path / "new.caffemodel"
    old.write_bytes(net.SerializeToString())
    assert main([str(old), "-o", str(new)]) == 0
    (written,) = messages.NetParameter.FromString(new.read_bytes()).layer[0].blobs
    assert written == messages.BlobProto(shape={"dim": [2]}, data=[1.5, -2])


@pytest.mark.parametrize(
    "damage", [b"\x2a\x03abc", b"\x3a\x02\x0a\x05", b"\x2a\x7f"], ids=["values", "shape", "length"]
)
def test_a_damaged_blob_is_an_error_and_nothing_is_written(tmp_path, capfdbinary, damage):
    net = messages.NetParameter(layer=[{"name": "a", "blobs": [{"data": [1]}]}, {"name": "b"}])
    blob = b"\x3a" + bytes([len(damage)]) + damage
    layer = net.layer[1].SerializeToString() + blob
    del net.layer[1]
    old, new = tmp_path / "old.caffemodel", tmp_path / "new.caffemodel"
    old.write_bytes(net.SerializeToString() + b"\xa2\x06" + bytes([len(layer)]) + layer)
    new.write_bytes(b"was here")
    assert main([str(old), "-o", str(new)]) == 2
    assert new.read_bytes() == b"was here"
    assert main([str(old)]) == 2
    printed = capfdbinary.readouterr()
    assert printed.out == b""
    assert printed.err.count(b"old.caffemodel: layer 'b': ") == 2


@pytest.mark.parametrize(
    ("content", "options", "problem"),
    [
        (b"}", [], ":1:1: "),
        (b"", [], ": empty, expected a caffe.NetParameter"),
        (b"\x0a\x05", [], ": truncated"),
        (b"\x0a\x05", ["--solver"], ": a binary file, not a solver definition"),
        (b"base_lr: 1", [], "this is a caffe.SolverParameter"),
        (b'solver_type: SGD type: "SGD"', ["--solver"], "cannot be both specified"),
        (b'layer { name: "a" } layers { name: "b" }', [], "includes both 'layer' and 'layers' fields"),
    ],
)
def test_bad_files_are_one_line_and_exit_code_2(tmp_path, capsys, content, options, problem):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(content)
    assert main([str(old), "-o", str(new), *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {old}")
    assert problem in printed.err
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [old]


def test_files_that_cannot_be_read_or_written(tmp_path, capsys):
    assert main([str(tmp_path / "absent")]) == 2
    good = GOLDEN / "upgrade" / "input_dims" / "old.prototxt"
    assert main([str(good), "-o", str(tmp_path / "no" / "folder")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert [line.startswith("error: ") and "No such file or directory" in line for line in errors] == [
        True,
        True,
    ]


def test_a_text_is_not_overwritten_for_it_would_lose_its_comments(tmp_path, capsys):
    path, link = tmp_path / "net.prototxt", tmp_path / "link"
    path.write_text('# mine\nlayers { name: "r" type: RELU bottom: "a" top: "a" }\ninput: "a" input_dim: 1\n')
    link.symlink_to(path)
    before = path.read_bytes()
    for output in (path, link):
        assert main([str(path), "-o", str(output)]) == 2
        assert "is read, and would be overwritten" in capsys.readouterr().err
    assert path.read_bytes() == before
