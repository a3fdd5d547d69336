"""How a command reads definitions that were written for a fork of Caffe, or leave shapes open."""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vggrepro.cli.options.read import Options, flag, given
from vggrepro.errors import NetError, VggReproError
from vggrepro.net.fork_table import FORKS
from vggrepro.system.file_names import failure

if TYPE_CHECKING:
    from vggrepro.emit import Shape
    from vggrepro.net import ForkRules


@dataclass(frozen=True)
class ForkOptions:
    """The options that every command has that reads a net."""

    input_shape: tuple[str, ...] = ()
    allow_unknown: bool = False
    allow_custom: bool = False
    custom_shape: tuple[str, ...] = ()
    fork: str | None = None
    proto: Path | None = None
    layers: tuple[Path, ...] = ()

    def rules(self) -> ForkRules:
        """The rules that the options say, with the layers of ``--layers`` registered. Raises NetError for
        wrong shapes and a file of layers that fails."""
        from vggrepro.net import ForkRules

        for path in self.layers:
            import_layers(path)
        return ForkRules(
            parse_shapes(self.input_shape, "--input-shape"),
            self.allow_unknown,
            self.allow_custom,
            parse_shapes(self.custom_shape, "--custom-shape", least=0),
            self.fork,
            self.proto,
        )

    def arguments(self) -> list[str]:
        """The options as they are written on a command line."""
        words: list[str] = []
        for name in given(self):
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else [value]
            words += [flag(name)] if value is True else [w for one in values for w in (flag(name), str(one))]
        return words


@cache  # a class can be registered once
def import_layers(path: Path) -> None:
    """Run a Python file that registers layers. Raises NetError for one that is missing or fails."""
    try:
        path.stat()
    except OSError as error:
        raise NetError(f"{path}: {failure(error)}") from None
    try:
        runpy.run_path(str(path))
    except VggReproError as error:
        raise error.within(str(path)) from None
    except Exception as error:  # whatever the user's own code raises
        raise NetError(f"{path}: {type(error).__name__}: {' '.join(str(error).split())}") from error


def add_fork_options(options: Options) -> None:
    """Add the options of :class:`ForkOptions`."""
    add_input_shape_option(options)
    add_unknown_option(options)
    options.add_argument(
        "--allow-custom",
        action="store_true",
        help="make Python layers and layers of unknown types nodes of a custom ONNX domain"
        " instead of stopping",
    )
    options.add_argument(
        "--custom-shape",
        action="append",
        default=[],
        metavar="TOP=N,C,H,W",
        help="shape of a custom layer's top where it is not its first bottom's; 0 copies the bottom's size;"
        " repeatable",
    )
    options.add_argument(
        "--fork",
        choices=sorted(FORKS),
        help="fork of Caffe that the net is for, where several have layers of one name and the fields do not"
        " tell which is meant",
    )
    add_layers_option(options)
    options.add_argument(
        "--proto",
        type=Path,
        metavar="FILE.proto",
        help="a fork's schema, by which layers of your own get their parameters",
    )


def add_layers_option(options: Options) -> None:
    """Add ``--layers``."""
    options.add_argument(
        "--layers",
        action="append",
        default=[],
        type=Path,
        metavar="FILE.py",
        help="Python file that registers layers of your own (vggrepro.register_layer); repeatable",
    )


def add_input_shape_option(options: Options) -> None:
    """Add ``--input-shape``."""
    options.add_argument(
        "--input-shape",
        action="append",
        default=[],
        metavar="BLOB=N,C,H,W",
        help="shape of an input, in place of the one that the net's file gives, if it does; repeatable",
    )


def add_unknown_option(options: Options) -> None:
    """Add ``--allow-unknown``."""
    options.add_argument(
        "--allow-unknown",
        action="store_true",
        help="leave out fields that BVLC Caffe does not know and on which no number depends, with a warning,"
        " instead of stopping",
    )


def parse_shapes(entries: Sequence[str], option: str, *, least: int = 1) -> dict[str, Shape]:
    """``BLOB=N,C,H,W`` entries of an option to shapes. Raises NetError for anything else."""
    shapes = {}
    for entry in entries:
        name, separator, sizes = entry.rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.split(",")) if sizes else ()
        except ValueError:
            shape, separator = (), ""
        if not separator or not name or any(size < least for size in shape):
            raise NetError(f"{option} takes BLOB=N,C,H,W with sizes of at least {least}, got {entry!r}")
        shapes[name] = shape
    return shapes
