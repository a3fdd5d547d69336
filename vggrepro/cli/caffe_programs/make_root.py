"""make_root: a folder laid out as Caffe's own, for scripts that call ``$CAFFE_ROOT/build/tools/caffe``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from vggrepro.cli.caffe_programs.program import printed_help
from vggrepro.cli.options.gflags import GlogFlags, read_flags
from vggrepro.errors import OptionError
from vggrepro.system.atomic import made_folder, replacing
from vggrepro.system.terminal import printable

USAGE = "make_root FOLDER"

_BUILT = {
    "tools": (
        "convert_imageset",
        "compute_image_mean",
        "extract_features",
        "upgrade_net_proto_text",
        "upgrade_net_proto_binary",
        "upgrade_solver_proto_text",
    ),
    "examples/mnist": ("convert_mnist_data",),
    "examples/siamese": ("convert_mnist_siamese_data",),
    "examples/cifar10": ("convert_cifar_data",),
    "examples/cpp_classification": ("classification",),
}
"""What Caffe's build makes, by folder; each program has a second name that ends in ``.bin``."""

PROGRAMS = {
    **{f"build/tools/caffe{end}": () for end in ("", ".bin")},
    **{
        f"build/{folder}/{name}{end}": (name,)
        for folder, names in _BUILT.items()
        for name in names
        for end in ("", ".bin")
    },
    "python/classify.py": ("classify",),
    "python/draw_net.py": ("draw_net",),
    "tools/extra/parse_log.py": ("parse_log",),
}
"""The files that are programs, and the words that stand for them behind ``vggrepro caffe``."""

MODULE = "python/caffe/__init__.py"

LINKS = {".build_release": "build", "build/install/bin": "../tools"}
"""Other places of the built programs: of Caffe's Makefile, and of its CMake's ``make install``."""

_PROGRAM = """#!{python}
from vggrepro.cli.entry import command

command("caffe", *{words!r})
"""

_MODULE_TEXT = """import sys

import vggrepro.pycaffe

del sys.modules["caffe"]  # this file: the module takes its place
vggrepro.pycaffe.install()
vggrepro.pycaffe.__file__ = __file__  # from which scripts tell where models and means are
"""


def main(arguments: Sequence[str]) -> int:
    """Write the folder. Nothing that exists is replaced; where something cannot be written, nothing is."""
    if printed_help(arguments, USAGE, GlogFlags):
        return 0
    _, words = read_flags(GlogFlags, arguments)
    if len(words) != 1:
        raise OptionError(f"usage: {USAGE}; got {len(words)} arguments")
    texts = {name: _PROGRAM.format(python=sys.executable, words=w) for name, w in PROGRAMS.items()}
    texts[MODULE] = _MODULE_TEXT
    root = Path(words[0])
    existing = [name for name in (*texts, *LINKS) if os.path.lexists(root / name)]
    if existing:
        raise OptionError(f"make_root {root}: {existing[0]} exists already, expected a new folder")
    with ExitStack() as stack:
        for name, text in texts.items():
            stack.enter_context(made_folder((root / name).parent))
            stack.enter_context(replacing(root / name)).write(os.fsencode(text))
        for name in LINKS:
            stack.enter_context(made_folder((root / name).parent))
    for name in PROGRAMS:
        (root / name).chmod(0o755)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    print(printable(f"{root}: the programs and the Python module of this package, in Caffe's places"))
    return 0
