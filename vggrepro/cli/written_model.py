"""Writing a converted model: run in the runtimes that are asked for, it takes its name only if all agree."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vggrepro.cli.options.deployment import DeploymentOptions
from vggrepro.errors import OptionError
from vggrepro.graph.metadata import add_metadata
from vggrepro.graph.model import Graph
from vggrepro.system.atomic import replacing_paths, writing
from vggrepro.system.file_names import foreign
from vggrepro.system.notes import note
from vggrepro.system.quantities import size
from vggrepro.system.terminal import printable

if TYPE_CHECKING:
    from vggrepro.verify.runtimes.written import BuildGraph, Example, RuntimeCheck

OTHER_FORMATS = (
    *(".pb", ".pbtxt", ".tflite", ".keras", ".pt", ".pth", ".mlmodel", ".trt", ".engine", ".ort"),
    *(".param", ".bin", ".h5", ".hdf5", ".npy", ".npz", ".json"),
)
"""Names of files that programs take for something else than an ONNX model."""

_CHECKED = "model.onnx"
"""What a model in one file is called while it is checked: not every runtime takes every name."""

_PIECE = 1 << 20
"""Bytes that are copied at a time."""


@dataclass(frozen=True)
class RuntimeChecks:
    """What is asked of runtimes: their names, what they are fed, and how far off they may be."""

    runtimes: Sequence[str]
    examples: Sequence[Example]
    tolerance: float
    build: BuildGraph
    tell: Callable[[Sequence[RuntimeCheck]], Mapping[str, str]] = lambda _: {}
    """What the model's metadata says of the checks."""


def check_name(path: Path) -> None:
    """Raises OptionError for a name that says another format, OSError for one in a folder that is none."""
    if foreign(path):
        raise OptionError(f"{path}: no file here can have this name{foreign(path)}")
    if not path.parent.is_dir():
        number = errno.ENOTDIR if path.parent.exists() else errno.ENOENT
        raise OSError(number, os.strerror(number), str(path))
    if path.suffix.lower() in OTHER_FORMATS:
        raise OptionError(f"{path}: what is written is an ONNX model, expected a name that ends in .onnx")


def write_model(graph: Graph, path: Path, options: DeploymentOptions) -> None:
    """Write a model to its place."""
    graph.save(path, external=options.external_data)
    note_size(path)


def write_checked(
    graph: Graph, path: Path, options: DeploymentOptions, asked: RuntimeChecks
) -> list[RuntimeCheck]:
    """Write a model beside its place, run it in each runtime, and move it to its place if all checks pass;
    what each gave goes to stdout or stderr. Raises UnsupportedError for a runtime that is not installed."""
    from vggrepro.verify.runtimes.written import check_written, installed

    chosen = [installed(name) for name in asked.runtimes]
    with _hidden_folder(path) as folder:
        model = folder / (path.name if options.external_data else _CHECKED)
        graph.save(model, external=options.external_data)
        checks = [
            check
            for runtime in chosen
            for check in check_written(model, graph, runtime, asked.examples, asked.tolerance, asked.build)
        ]
        if all(check.passed for check in checks):
            add_metadata(model, asked.tell(checks))
            _put_in_place(model, path)
            note_size(path)
    _tell(checks, path, asked.tolerance)
    return checks


def as_report(checks: Sequence[RuntimeCheck]) -> dict[str, Any]:
    """What a report says of the checks, ready for JSON."""
    return {"runtimes": [check.as_json() for check in checks]}


def _tell(checks: Sequence[RuntimeCheck], path: Path, tolerance: float) -> None:
    """A line for each check: those that passed on stdout, the others as errors on stderr."""
    for check in checks:
        who = printable(f"{check.runtime} {check.version} ({check.example})")
        if check.passed:
            worst = max((d.relative for d in check.differences), default=0)
            print(f"{who}: worst {worst:.1e} of {tolerance:g}")
        else:
            print(printable(f"error: {path}: not written: {check.complaint()}"), file=sys.stderr)


def note_size(path: Path) -> None:
    """A note that the file at ``path`` is written."""
    note(f"{path}: {size(path.stat().st_size)}")


def _put_in_place(model: Path, path: Path) -> None:
    """Copy a model, and the file of its weights that is beside it if it has one, to ``path`` and beside it:
    all files or none."""
    sources = [model, *(file for file in model.parent.iterdir() if file != model)]
    places = [path, *(path.with_name(file.name) for file in sources[1:])]
    with replacing_paths(*places) as hidden:
        for source, place, temporary in zip(sources, places, hidden, strict=True):
            with source.open("rb") as written, writing(temporary, place) as file:
                shutil.copyfileobj(written, file, _PIECE)


@contextmanager
def _hidden_folder(path: Path) -> Iterator[Path]:
    """A folder beside ``path``, or for a device or a pipe in that of temporary files, which is removed in the
    end. What fails about it names ``path``."""
    beside = path.is_file() or not path.exists()
    try:
        folder = Path(tempfile.mkdtemp(prefix=".vggrepro-", dir=path.parent if beside else None))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        yield folder
    except OSError as error:
        if folder not in Path(str(error.filename)).parents:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
