"""run_pycaffe: a script or a module that was written for Caffe's Python module, or for OpenCV 4's
``readNetFromCaffe``, run unchanged."""

from __future__ import annotations

import argparse
import importlib.util
import os
import pickle
import runpy
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vggrepro.cli.options.fork_options import ForkOptions, add_fork_options
from vggrepro.cli.options.read import read
from vggrepro.cli.run import Parser, run
from vggrepro.errors import OptionError, PycaffeError, VggReproError

_EXAMPLES = (
    "classify_images.py --model deploy.prototxt",
    "--fork cuhk solve.py",
    "-m pytest tests/test_net.py",
)


@dataclass(frozen=True)
class ScriptOptions:
    """The command line."""

    forks: ForkOptions
    module: bool
    script: str
    arguments: tuple[str, ...]
    traceback: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: the script's own, 2 for an error."""
    options = read(ScriptOptions, parser().parse_args(argv))
    return run(lambda: _run(options), traceback=options.traceback)


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        command="run_pycaffe",
        examples=_EXAMPLES,
        description="Run a script whose import caffe shall find vggrepro.pycaffe, and whose cv2.dnn shall"
        " have readNetFromCaffe. Its nets may import the modules that their Python layers name.",
    )
    add_fork_options(parser)
    parser.add_argument(
        "-m",
        dest="module",
        action="store_true",
        help="SCRIPT is the name of a module, as for Python's own -m: pytest, unittest, nbconvert, ...",
    )
    parser.add_argument("script", metavar="SCRIPT", help="the script, a Python file")
    rest = parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="what the script itself takes"
    )
    rest.required = False  # as argparse itself sees it from Python 3.13 on
    return parser


def _run(options: ScriptOptions) -> int:
    import vggrepro.opencv
    import vggrepro.pycaffe
    from vggrepro.pycaffe.mode import reading_by

    if not options.module:
        Path(options.script).open("rb").close()  # OSError names the file
    vggrepro.pycaffe.install()
    rules = options.forks.rules()
    modules = {"caffe.py": _CAFFE}
    if importlib.util.find_spec("cv2") is not None:
        vggrepro.opencv.install(rules)
        modules["cv2.py"] = _CV2
    with TemporaryDirectory() as folder, _as_script(options, folder), reading_by(rules):
        for name, text in modules.items():
            Path(folder, name).write_text(text.format(rules=pickle.dumps(rules)), encoding="utf-8")
        if options.module and not _runs(options.script):
            raise OptionError(
                f"-m {options.script}: expected the name of a module, or of a package that runs"
            )
        try:
            _run_as_main(options)
        except VggReproError as error:
            own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == options.script]
            place = f"{options.script}:{own[-1].lineno}" if own else options.script
            raise PycaffeError(f"{place}: {error}") from error
        except Exception as error:  # the script's own: told as Python tells it
            traceback.print_exc()
            if isinstance(error, SyntaxError):
                print(f"{error.filename or options.script}: {_PYTHON_2}", file=sys.stderr)
            return 1
    return 0


def _run_as_main(options: ScriptOptions) -> None:
    if options.module:
        runpy.run_module(options.script, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(options.script, run_name="__main__")


def _runs(name: str) -> bool:
    """Whether there is a module of this name, or a package with a ``__main__``."""
    try:
        spec = importlib.util.find_spec(name)
        return spec is not None and (
            spec.submodule_search_locations is None
            or importlib.util.find_spec(f"{name}.__main__") is not None
        )
    except (ImportError, ValueError):  # a package that is missing or fails, or no name at all
        return False


_PYTHON_2 = (
    "if this was written for Python 2, convert it first: 2to3 -w, or futurize -w of the package future"
)
"""What most scripts for Caffe need before Python 3 reads them."""

_CAFFE = """import pickle
import sys

import vggrepro.pycaffe
from vggrepro.pycaffe.mode import read_by

del sys.modules["caffe"]  # this file: the module takes its place
vggrepro.pycaffe.install()
read_by(pickle.loads({rules!r}))
"""
"""What ``import caffe`` finds in a Python that the script starts: by multiprocessing, as a command, as the
kernel of a notebook."""


_CV2 = """import os
import pickle
import sys

own = os.path.dirname(__file__)
places = list(sys.path)
sys.path[:] = [place for place in places if place != own]
del sys.modules["cv2"]  # this file: OpenCV takes its place
try:
    import cv2
finally:
    sys.path[:] = places
try:
    import vggrepro.opencv
except ImportError:  # another Python
    pass
else:
    vggrepro.opencv.install(pickle.loads({rules!r}))
"""
"""What ``import cv2`` finds there: OpenCV, with what it lacks where this package can be imported."""


@contextmanager
def _as_script(options: ScriptOptions, folder: str) -> Iterator[None]:
    """``sys.argv`` and ``sys.path`` as the interpreter would have set them for the script or the module, with
    ``folder`` as the next place to look in, here and in every Python that is started."""
    argv, path, variable = sys.argv, list(sys.path), os.environ.get("PYTHONPATH")
    sys.argv = [options.script, *options.arguments]
    first = Path.cwd() if options.module else Path(options.script).resolve().parent
    sys.path[:] = [str(first), folder, *path]
    os.environ["PYTHONPATH"] = folder + (os.pathsep + variable if variable else "")
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path
        if variable is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = variable
