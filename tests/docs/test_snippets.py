"""Every snippet of the documentation is run, one page after another in a folder of its own, or stands in a
list here with the reason why it is not.

In a page the comment ``<!-- run -->`` above a block has it run, and ``<!-- file: NAME -->`` has it kept as a
file for the blocks behind it.
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from cpp_syntax import complaint, has_opencv_for_cpp

from vggrepro.cli.main import COMMANDS
from vggrepro.evaluation import demo
from vggrepro.net import load_net, save_weights

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (run|file)(?:: ([^>]*?))? -->\n+)?^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE
)

NOT_RUN = {
    "README.md: python3 -m venv .venv && .venv/bin/python -m pip install -q . &&": "tests/test_package.py",
    "README.md: python3 -m venv .venv && .venv/bin/python -m pip install -q -e": "it runs these tests",
    "README.md: tools/eval_ilsvrc.py --published": "CUDA and ILSVRC",
    "README.md: tools/train_ilsvrc.py --demo": "in small: tests/cli/test_printed_training.py",
    "CONTRIBUTING.md: python3 -m venv": "it runs these tests",
    "converters.md: python benchmarks/converters.py": "the other converters, each in its environment",
    "from-readnetfromcaffe.md: ages =": "tests/cli/test_migrate_opencv.py",
    "from-readnetfromcaffe.md: net = cv2.dnn.readNetFromONNX": "tests/cli/test_migrate_opencv.py",
    "from-readnetfromcaffe.md: import numpy as np": "tests/cli/test_migrate_opencv.py",
    "from-readnetfromcaffe.md: vggrepro migrate-opencv colorization": "tests/cli/test_migrate_opencv.py",
    "index.md: register-python-argcomplete": "fish",
    "own-layers.md: from __future__": "tests/layers/test_register.py",
    "own-layers.md: layer {": "tests/layers/test_register.py",
    "pycaffe.md: vggrepro run-pycaffe script.py arguments...": "a pattern, not a command",
    "from-readnetfromcaffe.md: vggrepro run-pycaffe old_script.py": "a pattern, not a command",
    "regression.md: name: models": "a workflow of GitHub; its command is run on the same page",
    "reproducing.md: tools/eval_ilsvrc.py": "CUDA and ILSVRC",
    "reproducing.md: tools/train_ilsvrc.py": "in small: tests/cli/test_printed_training.py",
    "training.md: vggrepro train-ilsvrc --demo": "in small: tests/cli/test_printed_training.py",
}
"""What the blocks begin with that are not run here, and what runs them or keeps them from being run."""


@dataclass(frozen=True)
class Snippet:
    """A block of a page: what is to be done with it, with which words, and its language and text."""

    action: str
    words: str
    language: str
    text: str


def snippets(page: Path) -> list[Snippet]:
    return [Snippet(*(part or "" for part in found)) for found in BLOCK.findall(page.read_text())]


ALL = [(page, snippet) for page in PAGES for snippet in snippets(page)]
RUN = [page for page in PAGES if any(snippet.action for snippet in snippets(page))]

TRAIN_VAL = """
layer { name: "in" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 2 dim: 3 } shape { dim: 2 } data_filler { type: "gaussian" } data_filler { value: 0 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
SOLVER = """
net: "train_val.prototxt" solver_mode: CPU base_lr: 0.1 lr_policy: "fixed" max_iter: 1000 display: 500
snapshot_prefix: "net"
"""
SCRIPTS = {
    "classify_images.py": "import sys, caffe\ncaffe.Net(sys.argv[2], caffe.TEST).forward()\n",
    "train_lenet.sh": "#!/bin/sh\nset -e\n$CAFFE_ROOT/build/tools/caffe train --solver=solver.prototxt\n",
}
ARRAYS = """
import numpy as np, vggrepro
from own_layers import ChannelGain as MyLayer
train = open("train_val.prototxt").read().partition('layer { name: "ip"')
inputs = '''layer { name: "in" type: "Input" top: "data" top: "label"
  input_param { shape { dim: 10 dim: 3 dim: 64 dim: 64 } shape { dim: 10 } } }'''
open("train_val.prototxt", "w").write(inputs + train[1] + train[2])
vggrepro.save_weights(vggrepro.load_net("train_val.prototxt", phase="TRAIN"), "init.caffemodel")
other = vggrepro.load_net("deploy.prototxt", "weights.caffemodel")
bias, text = other.params["fc8:1"] + 1, ""
x, y = np.ones(other.inputs["data"], np.float32), np.zeros(10, np.float32)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small published-style model, a net to train, images, and what the snippets call: ``vggrepro``,
    ``tools`` and ``python``."""
    net = load_net(demo.FILES.deploy, demo.FILES.weights)
    (tmp_path / "deploy.prototxt").write_bytes(Path(demo.FILES.deploy).read_bytes())
    save_weights(net, tmp_path / "weights.caffemodel")
    save_weights(net, tmp_path / "bvlc_reference_caffenet.caffemodel")
    shutil.copy(demo.SYNSETS, tmp_path / "synset_words.txt")
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name in ("image.jpg", "images/a.jpg"):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (90, 120, 3), dtype=np.uint8))
    (tmp_path / "train.txt").write_text("a.jpg 0\n")
    (tmp_path / "train_val.prototxt").write_text(TRAIN_VAL)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    (layer,) = [s for s in snippets(ROOT / "docs" / "own-layers.md") if s.language == "python"]
    (tmp_path / "own_layers.py").write_text(layer.text.replace("@vggrepro.register_layer\n", ""))
    programs = tmp_path / "bin"
    programs.mkdir()
    wrappers = {"vggrepro": "-m vggrepro", "python": "", "python3": ""}
    scripts = {f"bin/{n}": f'#!/bin/sh\nexec "{sys.executable}" {m} "$@"\n' for n, m in wrappers.items()}
    for name, text in (scripts | SCRIPTS).items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    return tmp_path


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_the_snippets_of_a_page_run(page: Path, folder: Path) -> None:
    for snippet in snippets(page):
        if snippet.action == "file":
            (folder / snippet.words).write_text(snippet.text)
        elif snippet.action == "run" and can_run(snippet):
            run(snippet, folder)


@cache
def has_node() -> bool:
    asked = ["node", "-e", "require('onnxruntime-web')"]
    return shutil.which("node") is not None and not subprocess.run(asked, capture_output=True).returncode


def can_run(snippet: Snippet) -> bool:
    if snippet.words == "where OpenCV is 5":
        return cv2.__version__.startswith("5")
    if snippet.words == "where onnxsim is installed":
        return shutil.which("onnxsim") is not None
    if snippet.words == "where argcomplete is installed":
        return shutil.which("register-python-argcomplete") is not None
    return {"cpp": has_opencv_for_cpp, "js": has_node}.get(snippet.language, lambda: True)()


def run(snippet: Snippet, folder: Path) -> None:
    text = snippet.text
    if snippet.language == "cpp":
        assert complaint(text) == ""
        return
    if "run-pycaffe" in snippet.words:
        text = text.replace("python ", "vggrepro run-pycaffe ")
    if snippet.words == "with arrays of the right shapes":
        text = ARRAYS + text
    if snippet.language == "js":
        given = "const ort = require('onnxruntime-web'); const pixels = new Float32Array(3 * 64 * 64);"
        text = f"(async () => {{ {given}\n{text}\nif (answers.prob.dims[0] !== 1) throw answers; }})()"
    interpreter = {
        "bash": ["bash", "-euo", "pipefail", "-c", text],
        "js": ["node", "--unhandled-rejections=strict", "-e", text],
    }
    command = interpreter.get(snippet.language, [sys.executable, "-c", text])
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HOME": str(folder), "PYTHONPATH": f"{ROOT}:{folder}"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{snippet.text}\n{ended.stdout}\n{ended.stderr}"


def reason(page: Path, snippet: Snippet) -> str | None:
    first = f"{page.name}: {snippet.text}"
    return next((begin for begin in NOT_RUN if first.startswith(begin)), None)


def test_what_is_not_run_is_listed() -> None:
    left = [(page, snippet) for page, snippet in ALL if not snippet.action]
    assert [f"{page.name}: {s.text[:60]}" for page, s in left if reason(page, s) is None] == []
    assert {reason(page, snippet) for page, snippet in left} == set(NOT_RUN)


def command_lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of this package among the lines of a block, with their arguments."""
    for line in text.replace("\\\n", " ").splitlines():
        words = [word for word in shlex.split(line, comments=True) if word != "..."]
        for place, word in enumerate(words):
            name = Path(word).stem.replace("_", "-")
            if word.startswith("tools/") and name in COMMANDS:
                yield name, words[place + 1 :]
            elif word == "vggrepro" and words[place + 1 :]:
                yield words[place + 1], words[place + 2 :]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_line_has_options_that_there_are(page: Path) -> None:
    for snippet in snippets(page):
        for command, arguments in command_lines(snippet.text) if snippet.language == "bash" else ():
            module = importlib.import_module(f"vggrepro.cli.{command.replace('-', '_')}")
            ends = [place for place, word in enumerate(arguments) if word in ("&&", "|", "2>&1")]
            module.parser().parse_args(arguments[: min(ends, default=None)])
