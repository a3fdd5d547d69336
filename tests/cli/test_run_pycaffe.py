"""The command run_pycaffe: scripts for Caffe's Python module."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

SCRIPT = """
import sys
import numpy as np
import caffe
from caffe import layers as L

caffe.set_mode_cpu()


class Twice(caffe.Layer):
    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = 2 * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        pass


if __name__ == "__main__":
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 2]))
    n.twice = L.Python(n.data, module="script", layer="Twice")
    with open("net.prototxt", "w") as f:
        f.write(str(n.to_proto()))
    net = caffe.Net("net.prototxt", caffe.TEST)
    net.blobs["data"].data[...] = float(sys.argv[1])
    print(net.forward()["twice"], sys.argv[1:])
"""


def run(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text)
    return run_pycaffe(folder, "script.py", *arguments)


def run_pycaffe(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from vggrepro.cli.main import main; sys.exit(main())"
    tool = [sys.executable, "-c", code, "run-pycaffe", *arguments]
    return subprocess.run(tool, cwd=folder, capture_output=True, text=True, check=False)


def test_a_script_with_a_python_layer_and_arguments(tmp_path: Path) -> None:
    done = run(tmp_path, SCRIPT, "21", "--its-own")
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == "[[42. 42.]] ['21', '--its-own']\n"


def test_what_caffe_refuses_is_one_line_that_names_the_place(tmp_path: Path) -> None:
    done = run(tmp_path, "import caffe\n\ncaffe.Net('none.prototxt', caffe.TEST)\n")
    assert done.stderr == "error: script.py:3: Could not open file none.prototxt\n" and done.returncode == 2


def test_exit_codes_and_tracebacks_are_the_scripts(tmp_path: Path) -> None:
    assert run(tmp_path, "raise SystemExit(5)").returncode == 5
    done = run(tmp_path, "1 / 0")
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr


def test_what_python_3_cannot_read_may_be_python_2(tmp_path: Path) -> None:
    done = run(tmp_path, "print 'hello'")
    assert done.returncode == 1 and "SyntaxError" in done.stderr
    assert (
        "script.py: if this was written for Python 2, convert it first: 2to3" in done.stderr.splitlines()[-1]
    )
    done = run(tmp_path, "\0")  # of which Python names no file
    assert done.stderr.splitlines()[-1].startswith("script.py: if this was written for Python 2")


def test_no_script(tmp_path: Path) -> None:
    done = run_pycaffe(tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: the following arguments are required: SCRIPT (--help tells the options)\n"


def test_no_such_script(tmp_path: Path) -> None:
    done = run_pycaffe(tmp_path, "none.py")
    assert done.returncode == 2 and done.stderr == "error: none.py: No such file or directory\n"


def test_a_module_runs_as_by_pythons_own_option(tmp_path: Path) -> None:
    """As a test suite for pytest: found from the working folder, the rest of the line its own."""
    text = "import sys\n\nimport caffe\n\nprint(caffe.TEST, __name__, sys.argv[1:], sys.path[0])\n"
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "suite.py").write_text(text)
    (tmp_path / "inner" / "__main__.py").write_text(text)
    for module in ("inner.suite", "inner"):
        done = run_pycaffe(tmp_path, "-m", module, "-q", "--its-own")
        assert done.stdout == f"1 __main__ ['-q', '--its-own'] {tmp_path.resolve()}\n", done.stderr


@pytest.mark.parametrize("name", ["nobody", "nobody.s", "empty", "os.path.x", "."])
def test_no_such_module(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    done = run_pycaffe(tmp_path, "-m", name)
    assert done.stderr == f"error: -m {name}: expected the name of a module, or of a package that runs\n"
    assert done.returncode == 2


@pytest.mark.skipif(int(cv2.__version__.split(".")[0]) < 5, reason="OpenCV 4 has an importer")
def test_a_script_for_opencv_4_finds_its_importer(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(
        'input: "data" input_shape { dim: 1 dim: 2 } layer { name: "a" type: "Power" bottom: "data" top: "a"'
        " power_param { shift: 3 } own_field: 1 }"
    )
    text = """
import cv2, numpy as np
net = cv2.dnn.readNetFromCaffe("net.prototxt")
net.setInput(np.array([[1, 2]], np.float32))
print(net.forward().tolist())
"""
    assert "own_field" in run(tmp_path, text).stderr
    done = run_pycaffe(tmp_path, "--allow-unknown", "script.py")
    assert done.stdout == "[[4.0, 5.0]]\n", done.stderr


@pytest.mark.skipif(int(cv2.__version__.split(".")[0]) < 5, reason="OpenCV 4 has an importer")
def test_a_python_that_the_script_starts_finds_it_too(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(
        'input: "data" input_shape { dim: 1 dim: 2 } layer { name: "a" type: "Power" bottom: "data" top: "a"'
        " power_param { shift: 3 } own_field: 1 }"
    )
    (tmp_path / "child.py").write_text("""
import sys
from cv2 import dnn
import cv2, numpy as np
assert dnn is cv2.dnn and cv2.imread and "cv2.py" not in cv2.__file__
net = dnn.readNetFromCaffe("net.prototxt")
net.setInput(np.array([[1, 2]], np.float32))
print(net.forward().tolist())
""")
    (tmp_path / "other.py").write_text("""
import sys
sys.modules["vggrepro"] = None  # as in another Python
import cv2
print(hasattr(cv2.dnn, "readNetFromCaffe"), cv2.imread is not None)
""")
    (tmp_path / "script.py").write_text("""
import subprocess, sys
for name in ("child.py", "other.py"):
    subprocess.check_call([sys.executable, name])
""")
    done = run_pycaffe(tmp_path, "--allow-unknown", "script.py")
    assert done.stdout == "[[4.0, 5.0]]\nFalse True\n", done.stderr


def test_a_python_that_the_script_starts_has_the_module_too(tmp_path: Path) -> None:
    text = """
import os, subprocess, sys
print(subprocess.check_output([sys.executable, "-c", "import caffe.io; print(caffe.TEST)"]))
"""
    assert run(tmp_path, text).stdout == "b'1\\n'\n"


@pytest.mark.parametrize("start", multiprocessing.get_all_start_methods())
def test_processes_that_the_script_starts_have_the_module_too(tmp_path: Path, start: str) -> None:
    """With the rules by which definitions are read."""
    (tmp_path / "net.prototxt").write_text(
        'input: "data" input_shape { dim: 1 dim: 2 } layer { name: "a" type: "Power" bottom: "data" top: "a"'
        " power_param { shift: 3 } own_field: 1 }"
    )
    text = f"""
import multiprocessing

import caffe


def shifted(x):
    return caffe.Net("net.prototxt", caffe.TEST).forward(data=caffe.io.np.array([x]))["a"].tolist()


if __name__ == "__main__":
    with multiprocessing.get_context("{start}").Pool(2) as pool:
        print(pool.map_async(shifted, [[1, 2], [3, 4]]).get(60))
"""
    (tmp_path / "script.py").write_text(text)
    done = run_pycaffe(tmp_path, "--allow-unknown", "script.py")
    assert done.stdout == "[[[4.0, 5.0]], [[6.0, 7.0]]]\n", done.stderr
