"""What every command shares: one line for an error, and exit codes."""

import warnings

import pytest

from vggrepro.cli.run import Parser, run, run_ranks
from vggrepro.errors import ParseError


def test_the_wrapper_turns_expected_failures_into_one_line_and_lets_bugs_through(capsys):
    def fail(error):
        raise error

    assert run(lambda: 1) == 1
    assert run(lambda: fail(ParseError("two\n  lines"))) == 2
    assert run(lambda: fail(PermissionError(13, "Permission denied", "f"))) == 2
    assert run(lambda: fail(MemoryError("3 GB"))) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: two lines",
        "error: f: Permission denied",
        "error: not enough memory: 3 GB",
    ]
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 // 0)


def test_a_warning_is_one_line(capsys):
    def body():
        warnings.warn("two\n lines", stacklevel=1)
        return 0

    assert run(body) == 0
    assert capsys.readouterr().err == "warning: two lines\n"


def test_a_process_of_its_own_is_the_only_rank(capsys):
    assert run_ranks(lambda ranks: 10 * ranks.rank + ranks.size) == 1


def test_a_misspelt_command_line_is_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        Parser(prog="x").parse_args(["--nothing"])
    assert capsys.readouterr().err == (
        "error: unrecognized arguments: --nothing (--help tells the options)\n"
    )
