"""make_root: programs and module in Caffe's places."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from caffe_nets import NET, caffe

from vggrepro.cli.caffe import ACTIONS, TOOLS
from vggrepro.cli.caffe_programs.make_root import MODULE, PROGRAMS
from vggrepro.system.atomic import OutputFile

SCRIPT = """import sys
sys.path.insert(0, sys.argv[1] + "/python")
import caffe
import caffe.io
from caffe.proto import caffe_pb2
print(caffe.__version__, caffe.io.caffe_pb2 is caffe_pb2, caffe.Net.__module__)
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_programs_run_from_there(tmp_path: Path) -> None:
    assert caffe("make_root", str(tmp_path / "root")) == 0
    (tmp_path / "net.prototxt").write_text(NET)
    done = run(tmp_path, "root/build/tools/caffe", "time", "-model=net.prototxt", "-iterations=1")
    assert done.returncode == 0 and "*** Benchmark ends ***" in done.stderr
    done = run(tmp_path, sys.executable, "root/python/classify.py", "--help")
    assert done.returncode == 0 and "--center_only" in done.stdout
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run(tmp_path, sys.executable, "script.py", "root")
    assert done.stdout == "1.0.0 True vggrepro.pycaffe.net\n"


@pytest.mark.parametrize("folder", [".build_release/tools", "build/install/bin"])
def test_other_places_of_the_build_lead_to_the_programs(tmp_path: Path, folder: str) -> None:
    assert caffe("make_root", str(tmp_path / "root")) == 0
    (tmp_path / "root").rename(tmp_path / "moved")
    (tmp_path / "net.prototxt").write_text(NET)
    done = run(tmp_path, f"moved/{folder}/upgrade_net_proto_text", "net.prototxt", "out.prototxt")
    assert done.returncode == 0 and (tmp_path / "out.prototxt").exists()
    programs = {path.name for path in (tmp_path / "moved" / folder).iterdir()}
    assert {"caffe", "caffe.bin", "extract_features.bin"} <= programs


def test_a_script_finds_the_root_by_the_module_s_file(tmp_path: Path) -> None:
    assert caffe("make_root", str(tmp_path / "root")) == 0
    (tmp_path / "script.py").write_text(
        "import sys; sys.path.insert(0, 'root/python')\n"
        "import caffe, os.path, caffe.io\n"
        "print(os.path.relpath(os.path.join(os.path.dirname(caffe.__file__), '..', '..')))"
    )
    assert run(tmp_path, sys.executable, "script.py").stdout == "root\n"


def test_every_tool_has_a_place() -> None:
    assert {words[0] for words in PROGRAMS.values() if words} == TOOLS.keys() - {"make_root"}
    assert not ACTIONS.keys() & TOOLS.keys()


def test_nothing_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "classify.py").write_text("mine")
    assert caffe("make_root", str(tmp_path)) == 2
    assert "python/classify.py exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["python"]


def test_a_link_that_leads_nowhere_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".build_release").symlink_to("absent")
    assert caffe("make_root", str(tmp_path)) == 2
    assert ".build_release exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [".build_release"]


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = OutputFile.write

    def full(file: OutputFile, text: bytes) -> int:
        if b"pycaffe" in text:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "root" / MODULE))
        return write(file, text)

    monkeypatch.setattr(OutputFile, "write", full)
    assert caffe("make_root", str(tmp_path / "root")) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_no_utf8(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    root = tmp_path / os.fsdecode(b"n\xff")
    assert caffe("make_root", str(root)) == 0
    assert rb"n\udcff: the programs" in capsysbinary.readouterr().out
    assert (root / MODULE).exists()
