"""run_pycaffe: a script that was written for Caffe's Python module, run unchanged."""

from __future__ import annotations

import argparse
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
from vggrepro.errors import PycaffeError, VggReproError

_EXAMPLES = ("classify_images.py --model deploy.prototxt", "--fork cuhk solve.py")


@dataclass(frozen=True)
class ScriptOptions:
    """The command line."""

    forks: ForkOptions
    script: Path
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
        description="Run a script whose import caffe shall find vggrepro.pycaffe. Its nets may import the"
        " modules that their Python layers name.",
    )
    add_fork_options(parser)
    parser.add_argument("script", type=Path, metavar="SCRIPT", help="the script, a Python file")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="what the script itself takes"
    )
    return parser


def _run(options: ScriptOptions) -> int:
    import vggrepro.pycaffe
    from vggrepro.pycaffe.mode import reading_by

    script = str(options.script)
    options.script.open("rb").close()  # OSError names the file
    vggrepro.pycaffe.install()
    rules = options.forks.rules()
    with TemporaryDirectory() as folder, _as_script(options, folder), reading_by(rules):
        Path(folder, "caffe.py").write_text(_CAFFE.format(rules=pickle.dumps(rules)), encoding="utf-8")
        try:
            runpy.run_path(script, run_name="__main__")
        except VggReproError as error:
            places = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == script]
            place = f"{script}:{places[-1].lineno}" if places else script
            raise PycaffeError(f"{place}: {error}") from error
        except Exception as error:  # the script's own: told as Python tells it
            traceback.print_exc()
            if isinstance(error, SyntaxError):
                print(f"{error.filename}: {_PYTHON_2}", file=sys.stderr)
            return 1
    return 0


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
"""What ``import caffe`` finds in a process that the script starts anew, as multiprocessing's spawn does."""


@contextmanager
def _as_script(options: ScriptOptions, folder: str) -> Iterator[None]:
    """``sys.argv`` and ``sys.path`` as the interpreter would have set them for the script, with ``folder`` as
    the next place to look in."""
    argv, path = sys.argv, list(sys.path)
    sys.argv = [str(options.script), *options.arguments]
    sys.path[:] = [str(options.script.resolve().parent), folder, *path]
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path
