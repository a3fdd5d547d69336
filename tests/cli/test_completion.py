"""What the shell is told of command lines that are being typed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from vggrepro.cli.completion import SUFFIXES, FilesEndingIn
from vggrepro.cli.main import COMMANDS, main
from vggrepro.cli.options.deployment import TARGET_NAMES

TOOLS = Path(__file__).parents[2] / "tools"
needs_argcomplete = pytest.mark.skipif(find_spec("argcomplete") is None, reason="argcomplete is missing")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("deploy.prototxt", "w.caffemodel", "w.jpg", "m.onnx", ".hidden.onnx", "run.jsonl", "s.py"):
        Path(name).touch()
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "vgg.caffemodel").touch()
    return tmp_path


def completed(line: str, *program: str, word: int = 1) -> list[str]:
    """What a ``line`` can go on with at its end, as bash asks."""
    environment = {
        **os.environ,
        "_ARGCOMPLETE": str(word),
        "_ARGCOMPLETE_STDOUT_FILENAME": "told",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n\"'><=;|&(:",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    command = [sys.executable, *(program or ("-m", "vggrepro"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return sorted(part.strip() for part in Path("told").read_text().split("\v") if part)


@needs_argcomplete
def test_commands(folder: Path) -> None:
    assert completed("vggrepro con") == ["convert-caffemodel"]
    assert completed("vggrepro ") == sorted(COMMANDS)
    assert completed("vggrepro --v") == ["--version"]
    assert completed("vggrepro nothing ") == []


@needs_argcomplete
def test_options_and_choices(folder: Path) -> None:
    assert completed("vggrepro convert-caffemodel --verify") == ["--verify", "--verify-with"]
    assert completed("vggrepro convert_caffemodel --target ") == sorted(TARGET_NAMES)
    assert completed("vggrepro train-ilsvrc --preset B-") == ["B-5x5:256"]
    assert completed("vggrepro eval-ilsvrc --seed ") == []
    assert completed("vggrepro show fi") == ["filters"]
    assert completed("vggrepro caffe convert_i") == ["convert_imageset"]


@needs_argcomplete
def test_files_by_their_suffix(folder: Path) -> None:
    assert completed("vggrepro convert-caffemodel ") == ["deploy.prototxt", "nets/"]
    assert completed("vggrepro convert-caffemodel d") == ["deploy.prototxt"]
    assert completed("vggrepro convert-caffemodel deploy.prototxt w") == ["w.caffemodel"]
    assert completed("vggrepro convert-caffemodel deploy.prototxt nets/") == ["nets/vgg.caffemodel"]
    assert completed("vggrepro classify w") == ["w.caffemodel", "w.jpg"]
    assert completed("vggrepro classify w.jpg --weights w") == ["w.caffemodel"]
    assert completed("vggrepro show filters d") == ["deploy.prototxt"]
    assert completed("vggrepro convert-caffemodel a.prototxt w.caffemodel -o w.j") == ["w.jpg"]
    assert completed("vggrepro run-pycaffe s") == ["s.py"]


@needs_argcomplete
def test_a_tool_completes_its_own_line(folder: Path) -> None:
    tool = TOOLS / "to_caffe.py"
    assert completed(f"{tool} m", str(tool)) == ["m.onnx"]
    assert completed(f"python3 {tool} --toler", str(tool), word=2) == ["--tolerance"]


@needs_argcomplete
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is missing")
def test_bash_itself(folder: Path) -> None:
    programs = folder / "bin"
    programs.mkdir()
    (programs / "vggrepro").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vggrepro "$@"\n')
    (programs / "vggrepro").chmod(0o755)
    shown = subprocess.run(
        [sys.executable, "-c", "import argcomplete; print(argcomplete.shellcode(['vggrepro']))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    script = f"""{shown}
    COMP_LINE='vggrepro to-caffe m' COMP_POINT=19 COMP_TYPE=9 COMP_WORDS=(vggrepro to-caffe m) COMP_CWORD=2
    _python_argcomplete vggrepro m to-caffe
    echo "${{COMPREPLY[@]}}"
    """
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "m.onnx", done.stderr


def test_what_a_path_can_become(folder: Path) -> None:
    ending = FilesEndingIn((".caffemodel",))
    assert list(ending("")) == ["nets/", "w.caffemodel"]
    assert list(ending("D=nets/v")) == ["D=nets/vgg.caffemodel"]
    assert list(ending("nowhere/")) == []
    assert list(FilesEndingIn((".onnx",))(".h")) == [".hidden.onnx"]
    assert list(FilesEndingIn()("r")) == ["run.jsonl"]


def test_every_suffix_begins_with_a_dot() -> None:
    assert all(suffix.startswith(".") for suffixes in SUFFIXES.values() for suffix in suffixes)


def test_without_the_package_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    assert main() == 2
    assert 'pip install "vggrepro[completion]"' in capsys.readouterr().err
