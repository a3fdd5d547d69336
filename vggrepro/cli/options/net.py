"""Options that several commands take, with one meaning everywhere."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from vggrepro.emit import Shape
from vggrepro.errors import NetError
from vggrepro.net import Net, load_net


def add_net_options(parser: argparse.ArgumentParser) -> None:
    """How a prototxt is read: phase, stages, level, input shapes."""
    parser.add_argument(
        "--phase", choices=["TRAIN", "TEST"], default="TEST", help="phase of the net (default: TEST)"
    )
    parser.add_argument(
        "--stage",
        action="append",
        default=[],
        metavar="NAME",
        help="stage for include/exclude rules; repeatable",
    )
    parser.add_argument(
        "--level", type=int, default=0, metavar="N", help="level for include/exclude rules (default: 0)"
    )
    parser.add_argument(
        "--input-shape",
        action="append",
        default=[],
        metavar="BLOB=N,C,H,W",
        help="shape of an input, in place of the prototxt's; repeatable",
    )
    parser.add_argument(
        "--allow-unknown",
        action="store_true",
        help="warn of fields that BVLC Caffe does not know instead of stopping",
    )
    parser.add_argument(
        "--allow-custom",
        action="store_true",
        help="make Python layers and layers of unknown types nodes of a custom ONNX domain"
        " instead of stopping",
    )
    parser.add_argument(
        "--custom-shape",
        action="append",
        default=[],
        metavar="TOP=N,C,H,W",
        help="shape of a custom layer's top where it is not its first bottom's; 0 copies the bottom's size;"
        " repeatable",
    )


def net_from(arguments: argparse.Namespace, weights: str | None, *, fill: bool) -> Net:
    """The net that the options of :func:`add_net_options` describe. ``fill``: see ``load_net``."""
    return load_net(
        arguments.prototxt,
        weights,
        phase=arguments.phase,
        stages=arguments.stage,
        level=arguments.level,
        fill=fill,
        input_shapes=parse_shapes(arguments.input_shape, "--input-shape"),
        allow_unknown=arguments.allow_unknown,
        allow_custom=arguments.allow_custom,
        custom_shapes=parse_shapes(arguments.custom_shape, "--custom-shape", least=0),
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
