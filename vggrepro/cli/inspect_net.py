"""inspect_net: what a net is made of, layer by layer."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from vggrepro.cli.options import add_net_options, net_from
from vggrepro.cli.run import run
from vggrepro.net.inspect import Row, Totals, inspect


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error."""
    arguments = _parser().parse_args(argv)
    return run(lambda: _inspect(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inspect_net",
        description="Show a Caffe net layer by layer: type, top shape, parameters, multiply-accumulates,"
        " activation memory, and receptive field and stride in pixels of the input.",
    )
    parser.add_argument("prototxt", help="the net: V0, V1 or current format")
    add_net_options(parser)
    parser.add_argument("--json", metavar="FILE", help="write the same as JSON")
    return parser


def _inspect(arguments: argparse.Namespace) -> int:
    net = net_from(arguments, None)
    rows, totals = inspect(net)
    print(_table(rows, totals))
    if arguments.json:
        content = {"name": net.name, "layers": [r.as_json() for r in rows], "totals": totals.as_json()}
        Path(arguments.json).write_text(json.dumps(content, indent=1) + "\n")
    return 0


def _table(rows: Sequence[Row], totals: Totals) -> str:
    header = ("layer", "type", "top shape", "parameters", "MACs", "memory", "field", "stride")
    body = [
        (
            row.name,
            row.type,
            "x".join(map(str, row.shape)) or "scalar",
            f"{row.parameters:,}",
            f"{row.macs:,}",
            f"{row.bytes / 2**20:.2f} MiB",
            _pixels(row.field),
            _pixels(row.stride),
        )
        for row in rows
    ]
    last = (
        "total",
        f"{len(rows)} layers",
        "",
        f"{totals.parameters:,}",
        f"{totals.macs:,}",
        f"{totals.bytes / 2**20:.2f} MiB",
        "",
        "",
    )
    lines = [header, *body, last]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _pixels(pair: tuple[int, int] | None) -> str:
    if pair is None:
        return "-"
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"
