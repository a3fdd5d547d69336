"""Which net a command loads, and how its prototxt is read."""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from vggrepro.cli.options.read import Options
from vggrepro.errors import NetError, VggReproError
from vggrepro.net.forks import FORKS

if TYPE_CHECKING:
    from vggrepro.emit import Shape
    from vggrepro.net import Net


@dataclass(frozen=True)
class NetOptions:
    """A prototxt, and the rules under which it is read."""

    prototxt: str
    phase: Literal["TRAIN", "TEST"] = "TEST"
    stage: tuple[str, ...] = ()
    level: int = 0
    input_shape: tuple[str, ...] = ()
    allow_unknown: bool = False
    allow_custom: bool = False
    custom_shape: tuple[str, ...] = ()
    fork: str | None = None
    proto: str | None = None
    layers: tuple[str, ...] = ()

    def load(self, weights: str | None, *, fill: bool) -> Net:
        """The net, with ``weights`` copied by layer name. ``fill`` and errors: see ``load_net``."""
        from vggrepro.net import load_net

        for path in self.layers:
            import_layers(path)
        return load_net(
            self.prototxt,
            weights,
            phase=self.phase,
            stages=self.stage,
            level=self.level,
            fill=fill,
            input_shapes=parse_shapes(self.input_shape, "--input-shape"),
            allow_unknown=self.allow_unknown,
            allow_custom=self.allow_custom,
            custom_shapes=parse_shapes(self.custom_shape, "--custom-shape", least=0),
            fork=self.fork,
            proto=self.proto,
        )


@cache  # a class can be registered once
def import_layers(path: str) -> None:
    """Run a Python file that registers layers. Raises NetError for one that is missing or fails."""
    try:
        runpy.run_path(path)
    except VggReproError as error:
        raise error.within(path) from None
    except Exception as error:  # whatever the user's own code raises
        raise NetError(f"{path}: {type(error).__name__}: {' '.join(str(error).split())}") from error


def add_net_options(options: Options) -> None:
    """Add the options of :class:`NetOptions`, but not its argument ``prototxt``."""
    options.add_argument(
        "--phase",
        choices=["TRAIN", "TEST"],
        default=NetOptions.phase,
        help="phase of the net (default: TEST)",
    )
    options.add_argument(
        "--stage",
        action="append",
        default=[],
        metavar="NAME",
        help="stage for include/exclude rules; repeatable",
    )
    options.add_argument(
        "--level",
        type=int,
        default=NetOptions.level,
        metavar="N",
        help="level for include/exclude rules (default: 0)",
    )
    add_input_shape_option(options)
    add_unknown_option(options)
    _add_layer_options(options)


def _add_layer_options(options: Options) -> None:
    """What becomes of layers that are not BVLC Caffe's."""
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
    options.add_argument(
        "--layers",
        action="append",
        default=[],
        metavar="FILE.py",
        help="Python file that registers layers of your own (vggrepro.register_layer); repeatable",
    )
    options.add_argument(
        "--proto",
        metavar="FILE.proto",
        help="a fork's schema, by which layers of your own get their parameters",
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
