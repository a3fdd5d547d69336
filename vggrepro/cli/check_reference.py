"""check_reference: stored reference outputs against the converted model; a regression test for a CI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggrepro.cli.run import Parser, run
from vggrepro.errors import DataError, VggReproError
from vggrepro.runtime.device import parse_device, prepare
from vggrepro.system.atomic import write_json
from vggrepro.verify.comparison import Difference, table
from vggrepro.verify.reference_case import ReferenceCase, Tolerance, check_case


@dataclass(frozen=True)
class _Outcome:
    """What came of one case. ``note`` says why nothing was compared."""

    status: str
    """passed, failed, not comparable or error."""
    differences: Sequence[Difference] = ()
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "note": self.note,
            "blobs": [difference.as_json() for difference in self.differences],
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all within tolerance, 1 some are not, 2 a case could not be run, or none compared."""
    arguments = _parser().parse_args(argv)
    return run(lambda: _check(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="check_reference",
        description="Run stored reference outputs through the converted model and compare every blob and"
        " gradient. A case is a folder with net.prototxt, weights.caffemodel, case.json and io.npz.",
        epilog="exit codes: 0 within tolerance, 1 not, 2 a case could not be run, or none compared",
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
    prepare(parse_device(arguments.device))  # no case can run where the device does not work
    fallback = Tolerance(arguments.rtol, arguments.relative_atol)
    outcomes: dict[str, _Outcome] = {}
    for folder in arguments.case:
        outcomes[str(folder)] = outcome = _outcome(ReferenceCase(folder, fallback), arguments.device)
        print(f"{folder}: {_line(outcome)}", flush=True)
        if outcome.differences and not arguments.quiet:
            print(table(list(outcome.differences)))
    counts = dict.fromkeys(("passed", "failed", "not comparable", "error"), 0)
    for outcome in outcomes.values():
        counts[outcome.status] += 1
    if arguments.json:
        cases = {name: outcome.as_json() for name, outcome in outcomes.items()}
        write_json(arguments.json, {"counts": counts, "cases": cases})
    print(", ".join(f"{number} {status}" for status, number in counts.items() if number), file=sys.stderr)
    if counts["error"]:
        return 2
    if counts["failed"]:
        return 1
    if not counts["passed"]:
        raise DataError("no case could be compared")
    return 0


def _outcome(case: ReferenceCase, device: str) -> _Outcome:
    try:
        if not (case.folder / "case.json").exists():
            raise DataError(f"{case.folder}: not a case: no case.json in it")
        if case.about.get("random"):
            return _Outcome("not comparable", note="its outputs are random, by what its case.json says")
        differences = check_case(case, device)
    except (VggReproError, OSError) as error:
        return _Outcome("error", note=" ".join(str(error).split()))
    passed = all(difference.passed for difference in differences)
    return _Outcome("passed" if passed else "failed", differences)


def _line(outcome: _Outcome) -> str:
    if outcome.status == "failed":
        return "FAILED: " + ", ".join(d.blob for d in outcome.differences if not d.passed)
    return "ok" if outcome.status == "passed" else f"{outcome.status}: {outcome.note}"
