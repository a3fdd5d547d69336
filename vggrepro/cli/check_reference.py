"""check_reference: stored reference outputs against the converted model; a regression test for a CI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vggrepro.cli.options.device import add_device_option
from vggrepro.cli.options.fork_options import add_layers_option, import_layers
from vggrepro.cli.options.quiet import add_quiet_option
from vggrepro.cli.options.read import read
from vggrepro.cli.options.results import add_json_option, check_outputs
from vggrepro.cli.options.values import amount
from vggrepro.cli.run import FAILED, Parser, run
from vggrepro.errors import DataError, VggReproError
from vggrepro.system.atomic import write_json
from vggrepro.system.terminal import printable

if TYPE_CHECKING:
    from vggrepro.verify.comparison import Difference
    from vggrepro.verify.reference_case import ReferenceCase

_EXAMPLES = (
    "case",
    "case --device cuda --json differences.json",
)


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


@dataclass(frozen=True)
class CheckOptions:
    """The command line."""

    case: tuple[Path, ...]
    device: str
    rtol: float
    relative_atol: float
    json: Path | None
    quiet: bool
    layers: tuple[Path, ...]
    traceback: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all within tolerance, 1 some are not, 2 a case could not be run, or none compared."""
    options = read(CheckOptions, parser().parse_args(argv))
    return run(lambda: _check(options), traceback=options.traceback, quiet=options.quiet)


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        command="check_reference",
        examples=_EXAMPLES,
        description="Run stored reference outputs through the converted model and compare every blob and"
        " gradient. A case is a folder with net.prototxt, weights.caffemodel, case.json and io.npz.",
        epilog="exit codes: 0 within tolerance, 1 not, 2 a case could not be run, or none compared",
    )
    parser.add_argument("case", nargs="+", type=Path, metavar="CASE", help="the folder of a case")
    add_device_option(parser)
    parser.add_argument(
        "--rtol",
        type=amount,
        default=1e-5,
        help="where no index.json above the case gives tolerances (default: 1e-5)",
    )
    parser.add_argument(
        "--relative-atol",
        type=amount,
        default=5e-6,
        help="likewise, in units of the largest magnitude of each array (default: 5e-6)",
    )
    add_json_option(parser)
    add_layers_option(parser)
    add_quiet_option(parser, "; one line for each case instead of a table")
    return parser


def _check(options: CheckOptions) -> int:
    from vggrepro.runtime.device import parse_device, require
    from vggrepro.verify.comparison import difference_table
    from vggrepro.verify.reference_case import ReferenceCase, Tolerance

    for path in options.layers:
        import_layers(path)
    require(parse_device(options.device))  # no case can run where the device does not work
    check_outputs(options.json, options=options)
    for folder in options.case:
        check_outputs(options.json, options=ReferenceCase(folder).files)
    fallback = Tolerance(options.rtol, options.relative_atol)
    outcomes: dict[str, _Outcome] = {}
    for folder in options.case:
        outcomes[str(folder)] = outcome = _outcome(ReferenceCase(folder, fallback), options.device)
        print(printable(f"{folder}: {_line(outcome)}"), flush=True)
        if outcome.differences and not options.quiet:
            print(difference_table(list(outcome.differences)))
    counts = dict.fromkeys(("passed", "failed", "not comparable", "error"), 0)
    for outcome in outcomes.values():
        counts[outcome.status] += 1
    if options.json is not None:
        cases = {name: outcome.as_json() for name, outcome in outcomes.items()}
        write_json(options.json, {"counts": counts, "cases": cases})
    print(", ".join(f"{number} {status}" for status, number in counts.items() if number), file=sys.stderr)
    return _code(counts)


def _code(counts: Mapping[str, int]) -> int:
    """The exit code. Raises DataError if nothing was compared."""
    if counts["error"]:
        return FAILED
    if counts["failed"]:
        return 1
    if not counts["passed"]:
        raise DataError("no case could be compared")
    return 0


def _outcome(case: ReferenceCase, device: str) -> _Outcome:
    from vggrepro.verify.reference_case import check_case

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
