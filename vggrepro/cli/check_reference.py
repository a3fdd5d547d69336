"""check_reference: stored reference outputs against the converted model; a regression test for a CI."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from vggrepro.cli.run import run
from vggrepro.errors import DataError
from vggrepro.evaluation.reference_case import ReferenceCase, Tolerance, check_case
from vggrepro.evaluation.verify import Difference, table


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all within tolerance, 1 some are not, 2 an error."""
    arguments = _parser().parse_args(argv)
    return run(lambda: _check(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="check_reference",
        description="Run stored reference outputs (net.prototxt, weights.caffemodel, case.json, io.npz in a folder"
        " for each case) through the converted model and compare every blob and gradient.",
    )
    parser.add_argument("case", nargs="+", type=Path, metavar="CASE", help="the folder of a case")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument(
        "--rtol",
        type=float,
        default=1e-5,
        help="where no index.json above the case gives tolerances (default: 1e-5)",
    )
    parser.add_argument(
        "--relative-atol",
        type=float,
        default=5e-6,
        help="likewise, in units of the largest magnitude of each array (default: 5e-6)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same as JSON")
    parser.add_argument("--quiet", action="store_true", help="one line for each case instead of a table")
    return parser


def _check(arguments: argparse.Namespace) -> int:
    fallback = Tolerance(arguments.rtol, arguments.relative_atol)
    results: dict[str, list[Difference]] = {}
    for folder in arguments.case:
        if not (folder / "case.json").exists():
            raise DataError(f"{folder}: not a case: no case.json in it")
        results[str(folder)] = check_case(ReferenceCase(folder, fallback), arguments.device)
        _print(str(folder), results[str(folder)], arguments.quiet)
    failed = [name for name, rows in results.items() if not all(r.passed for r in rows)]
    if arguments.json:
        content = {name: [r.as_json() for r in rows] for name, rows in results.items()}
        arguments.json.write_text(json.dumps({"failed": failed, "cases": content}, indent=1) + "\n")
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed", file=sys.stderr)
    return 1 if failed else 0


def _print(name: str, rows: list[Difference], quiet: bool) -> None:
    bad = [row for row in rows if not row.passed]
    print(f"{name}: {'ok' if not bad else 'FAILED: ' + ', '.join(r.blob for r in bad)}")
    if not quiet:
        print(table(rows))
