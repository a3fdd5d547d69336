"""The console script: one name for all commands, and one list of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from golden_suite import ROOT

from vggrepro.cli.main import COMMANDS
from vggrepro.cli.main import main as vggrepro
from vggrepro.cli.main import tool as run_tool
from vggrepro.version import __version__

REPOSITORY = Path(__file__).parents[2]
TOOLS = sorted(path.stem for path in (REPOSITORY / "tools").glob("*.py"))


def test_the_console_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ROOT / "nets" / "lenet_test"
    files = [str(folder / "net.prototxt"), str(folder / "weights.caffemodel")]
    assert vggrepro(["convert-caffemodel", *files, "-o", str(tmp_path / "m.onnx")]) == 0
    assert (tmp_path / "m.onnx").exists()
    assert vggrepro(["--help"]) == 0
    assert "convert-caffemodel" in capsys.readouterr().out
    assert vggrepro([]) == 2
    assert vggrepro(["convert"]) == 2
    error = capsys.readouterr().err
    assert "no command 'convert'" in error and "did you mean 'convert-caffemodel'?" in error


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert vggrepro(["--version"]) == 0
    assert capsys.readouterr().out == f"vggrepro {__version__}\n"


def test_as_a_module() -> None:
    ended = subprocess.run([sys.executable, "-m", "vggrepro", "--version"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, f"vggrepro {__version__}\n")


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_is_a_command(tool: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        vggrepro([tool.replace("_", "-"), "--help"])
    assert ended.value.code == 0
    assert "usage: " in capsys.readouterr().out


HEAVY = (
    *("onnx", "onnxruntime", "cv2", "google.protobuf", "mpi4py", "h5py", "lmdb", "matplotlib", "tqdm"),
    "vggrepro.layers.base",
)
"""What no command line needs to be read, and takes longer to import than the command line to be read."""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_needs_nothing_that_runs_a_command(command: str) -> None:
    code = (
        "import sys; from vggrepro.cli.main import main\n"
        "try: main(sys.argv[2:])\n"
        "except SystemExit: print('loaded:', [m for m in sys.argv[1].split() if m in sys.modules])"
    )
    asked = [sys.executable, "-c", code, " ".join(HEAVY), command, "--help"]
    assert subprocess.check_output(asked, text=True).splitlines()[-1] == "loaded: []"


def test_commands_are_the_tools_and_those_that_the_readme_tells() -> None:
    assert sorted(name.replace("-", "_") for name in COMMANDS) == TOOLS
    told = re.findall(r"^\| `tools/(\w+)\.py` \|", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert [name.replace("_", "-") for name in told] == list(COMMANDS)


def test_a_command_goes_by_its_tools_name_too(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for name in ("train_ilsvrc", "train-ilsvrc"):
        assert vggrepro([name, "--list-presets"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != ""


@pytest.mark.parametrize("called", ["tools/show.py", "/opt/my tools/show.py", "show.py"])
def test_help_calls_a_tool_as_the_user_did(
    called: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "net", "--help"])
    with pytest.raises(SystemExit):
        run_tool("/somewhere/show.py")
    told = {"show.py": "./show.py", "/opt/my tools/show.py": "'/opt/my tools/show.py'"}.get(called, called)
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: {told} net ")
    assert f"  {told} net deploy.prototxt -o net.svg\n" in printed
    with pytest.raises(SystemExit):
        vggrepro(["show", "net", "--help"])
    assert "  vggrepro show net deploy.prototxt -o net.svg\n" in capsys.readouterr().out
