"""inspect_net: what a net is made of, layer by layer; and the paper's Tables 1 and 2."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vggrepro.cli.options.net import NetOptions, add_net_options
from vggrepro.cli.options.read import given, read
from vggrepro.cli.options.refuse import refuse_together
from vggrepro.cli.options.results import add_json_option, check_outputs
from vggrepro.cli.run import Parser, run
from vggrepro.errors import OptionError
from vggrepro.system.atomic import write_json
from vggrepro.system.quantities import memory
from vggrepro.system.terminal import printable
from vggrepro.text_table import aligned

if TYPE_CHECKING:
    from vggrepro.emit import Shape
    from vggrepro.net.inspect import Row, Totals

_EXAMPLES = (
    "deploy.prototxt",
    "train_val.prototxt --phase TRAIN --json layers.json",
    "deploy.prototxt --input-shape data=1,3,512,512",
)


@dataclass(frozen=True)
class InspectOptions:
    """The command line."""

    net: NetOptions
    tables: bool
    caffemodel: str | None
    json: Path | None
    traceback: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error."""
    options = read(InspectOptions, parser().parse_args(argv))
    return run(lambda: _inspect(options), traceback=options.traceback)


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        command="inspect_net",
        examples=_EXAMPLES,
        description="Show a Caffe net layer by layer: type, top shape, parameters, multiply-accumulates and"
        " activation memory of one pass of its batch, receptive field and stride in pixels of the input.",
    )
    parser.add_argument("prototxt", nargs="?", default="", help="the net: V0, V1 or current format")
    parser.add_argument(
        "caffemodel", nargs="?", help="its weights: only to tell which published model they are"
    )
    parser.add_argument(
        "--tables",
        action="store_true",
        help="show the paper's Tables 1 and 2 and the arithmetic of section 2.3, computed from the package's"
        " nets; takes no prototxt",
    )
    add_net_options(parser)
    add_json_option(parser)
    return parser


def _inspect(options: InspectOptions) -> int:
    from vggrepro.caffe.binary import open_net
    from vggrepro.caffe.hdf5 import is_hdf5
    from vggrepro.cli.recognised import recognise
    from vggrepro.net.inspect import inspect

    check_outputs(options.json, options=options)
    if options.tables:
        return _tables(options)
    if not options.net.prototxt:
        raise OptionError("no net: expected a prototxt (or --tables)")
    if options.caffemodel is not None and not is_hdf5(options.caffemodel):
        open_net(options.caffemodel)
    known = recognise(options.net.prototxt, options.caffemodel)
    net = options.net.load(None, fill=False)
    rows, totals = inspect(net)
    inputs = ", ".join(f"{blob} {_by(shape)}" for blob, shape in net.inputs.items())
    if options.json is not None:
        content = {
            "name": net.name,
            "inputs": {blob: list(shape) for blob, shape in net.inputs.items()},
            "layers": [row.as_json() for row in rows],
            "totals": totals.as_json(),
            "published": known.names,
        }
        write_json(options.json, content)
    print(printable(f"{net.name or 'net'}: {inputs}"))
    for line in known.lines():
        print(line)
    print(_table(rows, totals))
    return 0


def _tables(options: InspectOptions) -> int:
    from vggrepro.cli.paper_nets import paper_nets

    net = options.net
    if net.prototxt:
        raise OptionError(f"{net.prototxt}: leave out this or --tables")
    refuse_together("--tables", net, "phase", "stage", "level")
    refuse_together("--tables", net.forks, *given(net.forks))
    nets = paper_nets()
    if options.json is not None:
        write_json(options.json, nets.as_json())
    print(nets.text())
    return 0


def _table(rows: Sequence[Row], totals: Totals) -> str:
    header = ("layer", "type", "top shape", "parameters", "MACs", "memory", "field", "stride")
    body = [
        (
            printable(row.name),
            printable(row.type),
            _by(row.shape),
            f"{row.parameters:,}",
            f"{row.macs:,}",
            memory(row.bytes),
            _square(row.field),
            _square(row.stride),
        )
        for row in rows
    ]
    last = (
        "total",
        f"{len(rows)} layers",
        "",
        f"{totals.parameters:,}",
        f"{totals.macs:,}",
        memory(totals.bytes),
        "",
        "",
    )
    return "\n".join(aligned([header, *body, last], right=range(3, len(header))))


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _square(pair: tuple[int, int] | None) -> str:
    """Height and width, once if they are equal; a dash for what is no window of an image."""
    if pair is None:
        return "-"
    return str(pair[0]) if pair[0] == pair[1] else _by(pair)
