"""Wherever a net is read, the options for definitions of forks are there, and work: a table of entries and
options."""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

import vggrepro
from vggrepro import pycaffe
from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.cli import caffe as caffe_command
from vggrepro.cli import conversion, migrate_opencv
from vggrepro.cli.main import COMMANDS, main
from vggrepro.cli.options.fork_options import ForkOptions, add_fork_options, parse_shapes
from vggrepro.cli.options.read import flag, read
from vggrepro.errors import NetError
from vggrepro.graph.backward import gradient_model
from vggrepro.layers import registry
from vggrepro.pycaffe.mode import reading_by
from vggrepro.training.definition import read_definition

OPTIONS = {flag(f.name) for f in fields(ForkOptions)}

READS_NO_NET = {
    "to-caffe": "reads an ONNX model, whose inputs have shapes",
    "check-reference": "reads a case, which holds how its net is read",
    "plot-training": "reads logs",
    "compute-statistics": "reads images",
    "show": "pictures of nets have commands of their own",
    "show views": "reads an image",
    "show augmentation": "reads an image",
}
"""Commands without the options, and why."""


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for command in COMMANDS:
        parser = importlib.import_module(f"vggrepro.cli.{command.replace('-', '_')}").parser()
        yield command, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from ((f"{command} {name}", inner) for name, inner in action.choices.items())


@pytest.mark.parametrize(("command", "parser"), list(parsers()))
def test_every_command_that_reads_a_net_has_all_options(
    command: str, parser: argparse.ArgumentParser
) -> None:
    has = OPTIONS & {name for action in parser._actions for name in action.option_strings}
    if command in READS_NO_NET:
        assert has != OPTIONS
    else:
        assert has == OPTIONS


DATA = (
    'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }'
)
TRAINED = """
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 2 dim: 3 dim: 8 dim: 8 } shape { dim: 2 }
  data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" value: 2 } } }
"""
CONV = """
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param {
  num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
"""
FC8 = """
layer { name: "fc8" type: "InnerProduct" bottom: "middle" top: "fc8" inner_product_param {
  num_output: 7 weight_filler { type: "xavier" } } }
"""
PROB = 'layer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }'
LOSS = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc8" bottom: "label" top: "loss" }'


@dataclass(frozen=True)
class Case:
    """A net that is read only with an option: its words on a command line, the same from Python, and what the
    definition has that needs it."""

    words: tuple[str, ...]
    arguments: Mapping[str, Any]
    middle: str = 'layer { name: "middle" type: "ReLU" bottom: "conv1" top: "middle" }'
    data: str = DATA
    end: str = ""
    trains: bool = True

    @property
    def deploy(self) -> str:
        return self.data + CONV + self.middle + FC8 + PROB + self.end

    @property
    def train(self) -> str:
        return TRAINED + CONV + self.middle + FC8 + LOSS + self.end


def middle(kind: str, more: str) -> str:
    return f'layer {{ name: "middle" type: "{kind}" bottom: "conv1" top: "middle" {more} }}'


CASES = {
    "fork": Case(("--fork", "segnet"), {"fork": "segnet"}, middle("BN", "")),
    "unknown": Case(
        ("--allow-unknown",), {"allow_unknown": True}, middle("ReLU", "relu_param { engine: MKL2017 }")
    ),
    "custom": Case(
        ("--allow-custom",),
        {"allow_custom": True},
        end='layer { name: "report" type: "Report" bottom: "fc8" report_param { every: 2 } }',
    ),
    "shape": Case(
        ("--input-shape", "data=1,3,8,8"),
        {"input_shapes": {"data": (1, 3, 8, 8)}},
        data='layer { name: "data" type: "PhotoData" top: "data" }',
        trains=False,
    ),
    "proto": Case(
        ("--layers", "own.py", "--proto", "own.proto"),
        {"proto": "own.proto"},
        middle("OwnScale", "own_scale_param { by: 3 }"),
    ),
}

OWN_PROTO = """
package caffe;
message NetParameter { repeated LayerParameter layer = 100; }
message OwnScaleParameter { optional float by = 1; }
message LayerParameter {
  optional string name = 1;
  optional string type = 2;
  repeated string bottom = 3;
  repeated string top = 4;
  optional OwnScaleParameter own_scale_param = 200;
}
"""
OWN_LAYER = """
from dataclasses import dataclass
import vggrepro
from vggrepro.layers.base import Emitted, Gradients, Referenced

@vggrepro.register_layer
@dataclass(frozen=True)
class OwnScale(vggrepro.Layer[None]):
    type = "OwnScale"
    by: float

    @classmethod
    def from_param(cls, param, phase):
        return cls(param.own_scale_param.by)

    def out_shapes(self, bottoms):
        return (bottoms[0],)

    def emit(self, g, bottoms, params, states):
        return Emitted((g.op("Mul", bottoms[0].name, g.const(self.by)),), None)

    def grad(self, g, saved, d_tops, needed):
        return Gradients((g.op("Mul", d_tops[0], g.const(self.by)),))

    def reference(self, bottoms, params, states):
        return Referenced((self.by * bottoms[0],))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the deploy net, weights, train net and solver of each case, an own layer with its
    schema, and an image."""
    folder = tmp_path_factory.mktemp("forked")
    (folder / "own.py").write_text(OWN_LAYER)
    (folder / "own.proto").write_text(OWN_PROTO)
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    cv2.imwrite(str(folder / "images/a.png"), rng.integers(0, 256, (9, 10, 3), dtype=np.uint8))
    (folder / "val.txt").write_text("a.png 3\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, case in CASES.items():
            Path(f"{name}.prototxt").write_text(case.deploy)
            Path(f"train_{name}.prototxt").write_text(case.train)
            Path(f"{name}_solver.prototxt").write_text(
                f'net: "train_{name}.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 2'
                f' snapshot_prefix: "{name}_snap" solver_mode: CPU random_seed: 1'
            )
            parsed(case).rules()  # registers the layer
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                net = vggrepro.load_net(f"{name}.prototxt", **case.arguments)
            blobs = {p.name: [net.params[use.key] for use in p.params] for p in net.layers if p.params}
            write_caffemodel(Path(f"{name}.caffemodel"), net.message, blobs)
        yield folder
    del registry._REGISTRY["OwnScale"]


def parsed(case: Case) -> ForkOptions:
    parser = argparse.ArgumentParser()
    add_fork_options(parser)
    return read(ForkOptions, parser.parse_args(case.words))


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(home)
    yield
    pycaffe.allow_python_layers(False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "caffe"]:
        del sys.modules[name]


NET = ("NAME.prototxt", "NAME.caffemodel")
LOOKING = ("--deploy", "NAME.prototxt", "--weights", "NAME.caffemodel", "--scales", "8", "--mean", "1,2,3")
READERS: dict[str, tuple[str, ...]] = {
    "convert-caffemodel": (*NET, "-o", "out_NAME.onnx"),
    "inspect-net": NET[:1],
    "upgrade-prototxt": (*NET[:1], "-o", "out_NAME.prototxt"),
    "record-reference": (*NET, "--case", "case_NAME"),
    "show net": (*NET[:1], "-o", "out_NAME.svg"),
    "show filters": (*NET, "-o", "out_NAME.png"),
    "show features": (*NET, "images/a.png", "-o", "maps_NAME.png", "--blob", "conv1"),
    "classify": ("images/a.png", *LOOKING),
    "eval-ilsvrc": (*LOOKING, "--protocol", "centre", "--images", "images", "--labels", "val.txt"),
    "extract-features": ("images", "-o", "out_NAME.npy", "--blob", "fc8", *LOOKING),
}
"""Commands that read a deploy net, and what else they are told."""

TRAINERS: dict[str, tuple[str, ...]] = {
    "train-ilsvrc": ("--config", "NAME_solver.prototxt", "--snapshot-prefix", "OUTCOME_NAME"),
    "caffe": ("train", "-solver", "NAME_solver.prototxt"),
    "caffe test": (
        "test",
        "-model",
        "train_NAME.prototxt",
        "-weights",
        "NAME.caffemodel",
        "-iterations",
        "1",
    ),
    "caffe upgrade": ("upgrade_net_proto_text", "train_NAME.prototxt", "again_NAME.prototxt"),
}
"""Commands that read a net with its data."""


def call(command: str, words: tuple[str, ...], name: str, given: tuple[str, ...]) -> int:
    first, *inner = command.split()
    told = [word.replace("NAME", name).replace("OUTCOME", "with" if given else "none") for word in words]
    if first == "caffe":
        return main([first, *given, *told])
    return main([first, *inner, *told, *given])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("command", READERS)
@pytest.mark.filterwarnings("ignore")
def test_a_command_reads_a_net_of_a_fork(command: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if (command, name) != ("upgrade-prototxt", "fork") and (command, name) != ("upgrade-prototxt", "shape"):
        assert call(command, READERS[command], name, ()) == 2
        assert f"{name}.prototxt" in capsys.readouterr().err
    assert call(command, READERS[command], name, CASES[name].words) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.trains])
@pytest.mark.parametrize("command", TRAINERS)
@pytest.mark.filterwarnings("ignore")
def test_a_command_trains_a_net_of_a_fork(
    command: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if (command, name) != ("caffe upgrade", "fork"):
        assert call(command, TRAINERS[command], name, ()) == 2
    assert call(command, TRAINERS[command], name, CASES[name].words) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", CASES)
def test_a_script_reads_a_net_of_a_fork(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("script.py").write_text(
        "import caffe, sys\n"
        "net = caffe.Net(sys.argv[1], sys.argv[2], caffe.TEST)\n"
        "net.blobs['data'].data[...] = 1\n"
        "print(net.forward()['prob'].shape, net.inputs)\n"
    )
    words = ("script.py", f"{name}.prototxt", f"{name}.caffemodel")
    assert main(["run-pycaffe", *words]) == 2
    assert main(["run-pycaffe", *CASES[name].words, *words]) == 0
    assert capfd.readouterr().out == "(1, 7) ['data']\n"


def as_onnx(path: str, **arguments: Any) -> None:
    onnx.checker.check_model(vggrepro.to_onnx(vggrepro.load_net(path, **arguments)))


def as_gradient(path: str, **arguments: Any) -> None:
    gradient_model(vggrepro.load_net(path, **arguments), inputs=["data"])


def as_pycaffe(path: str, **arguments: Any) -> None:
    pycaffe.set_fork_rules(**arguments)
    try:
        pycaffe.Net(path, pycaffe.TEST).forward()
    finally:
        pycaffe.set_fork_rules()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("entry", [as_onnx, as_gradient, as_pycaffe])
@pytest.mark.filterwarnings("ignore")
def test_python_reads_a_net_of_a_fork(entry: Callable[..., None], name: str) -> None:
    with pytest.raises((vggrepro.VggReproError, RuntimeError)):
        entry(f"{name}.prototxt")
    entry(f"{name}.prototxt", **CASES[name].arguments)


def as_solver(path: str, **arguments: Any) -> None:
    solver = vggrepro.Solver(path, threads=1, **arguments)
    solver.step([{name: np.zeros(shape, np.float32) for name, shape in solver.net.inputs.items()}])


def as_pycaffe_solver(path: str, **arguments: Any) -> None:
    pycaffe.set_fork_rules(**arguments)
    try:
        pycaffe.get_solver(path).step(1)
    finally:
        pycaffe.set_fork_rules()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.trains])
@pytest.mark.parametrize("entry", [as_solver, as_pycaffe_solver])
@pytest.mark.filterwarnings("ignore")
def test_python_trains_a_net_of_a_fork(entry: Callable[..., None], name: str) -> None:
    with pytest.raises((vggrepro.VggReproError, RuntimeError)):
        entry(f"{name}_solver.prototxt")
    entry(f"{name}_solver.prototxt", **CASES[name].arguments)


def test_a_solver_takes_the_shapes_of_a_fork_s_data() -> None:
    text = CASES["custom"].train.replace(
        TRAINED, 'layer { name: "d" type: "PhotoData" top: "data" top: "label" }'
    )
    Path("shapes.prototxt").write_text(text)
    Path("shapes_solver.prototxt").write_text('net: "shapes.prototxt" base_lr: 1 lr_policy: "fixed"')
    shapes = {"data": (2, 3, 8, 8), "label": (2,)}
    with pytest.warns(UserWarning, match="custom node"):
        solver = vggrepro.Solver("shapes_solver.prototxt", allow_custom=True, input_shapes=shapes, threads=1)
    assert solver.step([{name: np.zeros(shape, np.float32) for name, shape in shapes.items()}]) > 0


@pytest.mark.filterwarnings("ignore")
def test_a_case_is_read_as_it_was_recorded() -> None:
    for name, case in CASES.items():
        assert (
            main(
                ["record-reference", f"{name}.prototxt", f"{name}.caffemodel", "--case", "kept", *case.words]
            )
            == 0
        )
        assert main(["check-reference", "kept", "--quiet"]) == 0
        assert Path("kept/net.proto").exists() == (name == "proto")


@pytest.mark.filterwarnings("ignore")
def test_an_upgraded_net_of_a_fork_is_the_same_net() -> None:
    for name, case in CASES.items():
        assert main(["upgrade-prototxt", f"{name}.prototxt", "-o", "new.prototxt", *case.words]) == 0
        still = {k: v for k, v in case.arguments.items() if k not in ("fork", "allow_unknown")}
        x = {"data": np.ones((1, 3, 8, 8), np.float32)}
        old, new = (
            vggrepro.reference_forward(vggrepro.load_net(path, f"{name}.caffemodel", **given), x)["prob"]
            for path, given in ((f"{name}.prototxt", case.arguments), ("new.prototxt", still))
        )
        np.testing.assert_array_equal(old, new)


def test_options_without_use_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upgrade-prototxt", "fork.prototxt", "--custom-shape", "x=1"]) == 2
    assert capsys.readouterr().err == "error: --custom-shape: upgrading fork.prototxt has no use for it\n"
    assert main(["upgrade-prototxt", "fork.caffemodel", "--fork", "cuhk"]) == 2
    assert "error: --fork: upgrading" in capsys.readouterr().err
    assert main(["classify", "images/a.png", "--demo", "--fork", "cuhk"]) == 2
    assert capsys.readouterr().err == "error: --fork: --demo brings its own\n"
    assert main(["inspect-net", "--tables", "--fork", "cuhk"]) == 2
    assert capsys.readouterr().err == "error: --fork: leave out this or --tables\n"


def test_words_of_a_command_line_come_back() -> None:
    for case in CASES.values():
        assert sorted(parsed(case).arguments()) == sorted(case.words)


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        ("train -solver x", "train -solver x"),
        ("--fork cuhk --allow-unknown train --fork", "train --fork"),
        ("--traceback --fork=cuhk --allow-unknown -solver x train", "-solver x train"),
        ("--help", "--help"),
    ],
)
def test_options_stand_in_front_of_what_caffe_itself_takes(words: str, rest: str) -> None:
    forks, left = caffe_command._read_forks(words.split())
    assert left == rest.split()
    assert forks == (ForkOptions(fork="cuhk", allow_unknown=True) if "cuhk" in words else ForkOptions())


def test_a_migration_converts_by_the_options_that_it_is_given() -> None:
    words = ["--phase", "TRAIN", "--stage", "deep", "--level", "2", "--custom-shape", "x=0,5"]
    words += [word for case in CASES.values() for word in case.words]
    given = migrate_opencv.parser().parse_args(["n.prototxt", "w.caffemodel", "-o", "x.onnx", *words])
    options = read(migrate_opencv.MigrationOptions, given)
    arguments = conversion.parser().parse_args(migrate_opencv._arguments(options, "opencv"))
    assert read(conversion.ConvertOptions, arguments).net == options.net
    assert options.net.forks.layers == (Path("own.py"),)


def test_rules_hold_inside_of_a_block_only() -> None:
    rules = parsed(CASES["fork"]).rules()
    with reading_by(rules):
        assert (
            read_definition("unknown_solver.prototxt", rules=rules).rules
            == pycaffe.mode.fork_rules()
            == rules
        )
    assert pycaffe.mode.fork_rules() != rules


@pytest.mark.parametrize("entry", ["x", "=1,2", "x=1,a", "x=1,0", "1,2,3"])
def test_shapes_that_are_none(entry: str) -> None:
    with pytest.raises(NetError, match=r"^--input-shape takes BLOB=N,C,H,W with sizes of at least 1, got "):
        parse_shapes([entry], "--input-shape")


def test_shapes() -> None:
    assert parse_shapes(["x=1,2", "y=3"], "--input-shape") == {"x": (1, 2), "y": (3,)}
    assert parse_shapes(["top=0,5"], "--custom-shape", least=0) == {"top": (0, 5)}
