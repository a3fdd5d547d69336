"""What every command shares: one line for a failure, and exit codes."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from vggrepro.cli.run import TRACEBACK, Parser, called, called_as, kept_in, run, run_ranks
from vggrepro.errors import ParseError
from vggrepro.system.ranks import Alone

TOOLS = Path(__file__).parents[2] / "tools"


def failing(error):
    def body():
        raise error

    return body


def test_what_is_left_of_a_run_with_a_cache_and_without():
    assert kept_in(None) == "nothing is kept (--cache DIR keeps what is measured)"
    assert "what was measured is in c:" in kept_in(Path("c"))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ParseError("two\n  lines"), "two lines"),
        (ParseError("\x1b[31mred"), "\\x1b[31mred"),
        (PermissionError(13, "Permission denied", "f"), "f: Permission denied"),
        (OSError("odd"), "odd"),
        (UserWarning("of python -W error"), "of python -W error"),
        (MemoryError("3 GB"), "not enough memory: 3 GB"),
        (MemoryError(), "not enough memory"),
        (TypeError("odd"), "internal: TypeError: odd (--traceback shows where)"),
        (AssertionError(), "internal: AssertionError (--traceback shows where)"),
    ],
    ids=repr,
)
def test_every_exception_is_one_line_and_exit_code_2(error, line, capsys):
    assert run(failing(error)) == 2
    assert capsys.readouterr().err == f"error: {line}\n"
    assert run_ranks(lambda _: failing(error)()) == 2
    assert capsys.readouterr().err == f"error: {line}\n"


def test_an_exit_code_goes_through():
    assert run(lambda: 1) == 1
    assert run_ranks(lambda ranks: 1 if ranks == Alone() else 0) == 1


def test_a_traceback_is_shown_where_it_is_asked_for(capsys, monkeypatch):
    monkeypatch.delenv(TRACEBACK, raising=False)
    assert run(failing(TypeError("odd")), traceback=True) == 2
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert told.endswith("error: internal: TypeError: odd (--traceback shows where)\n")
    monkeypatch.setenv(TRACEBACK, "1")
    run(failing(ParseError("odd")))
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv(TRACEBACK, "0")
    run(failing(ParseError("odd")))
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_one_line_that_says_what_is_kept(number, code, capsys):
    before = signal.getsignal(number)

    def body():
        os.kill(os.getpid(), number)
        time.sleep(60)

    assert run(body, kept="nothing was written") == code
    assert capsys.readouterr().err == f"error: stopped by {number.name}; nothing was written\n"
    assert signal.getsignal(number) == before


def test_a_signal_of_which_a_library_makes_an_error_is_told_as_a_signal(capsys):
    def body():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        except KeyboardInterrupt:
            raise ImportError("import numpy failed") from None

    assert run(body) == 130
    assert capsys.readouterr().err == "error: stopped by SIGINT\n"
    assert run(failing(ImportError("absent"))) == 2


def test_a_warning_is_one_line(capsys):
    def body():
        warnings.warn("two\n lines", stacklevel=1)
        return 0

    assert run(body) == 0
    assert capsys.readouterr().err == "warning: two lines\n"


def test_a_misspelt_command_line_is_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        Parser(prog="x").parse_args(["--nothing"])
    assert capsys.readouterr().err == (
        "error: unrecognized arguments: --nothing (--help tells the options)\n"
    )


def test_an_empty_path_is_told_apart_from_the_working_directory(capsys):
    parser = Parser(prog="x")
    parser.add_argument("--output", type=Path)
    assert parser.parse_args(["--output", "."]).output == Path()
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--output", ""])
    told = capsys.readouterr().err
    assert told == "error: argument --output: expected a path, got an empty one (--help tells the options)\n"


def test_examples_stand_before_the_epilog_and_call_the_command():
    parser = Parser(
        command="a_b", description="word " * 40, examples=["x --y", "mpirun %(prog)s x"], epilog="codes: 0, 1"
    )
    shown = parser.format_help()
    assert shown.endswith("\n\nexamples:\n  vggrepro a-b x --y\n  mpirun vggrepro a-b x\n\ncodes: 0, 1\n")
    assert max(map(len, shown.splitlines())) < 90  # the description is wrapped
    with called_as("tools/a_b.py"):
        assert (
            "  tools/a_b.py x --y\n  mpirun tools/a_b.py x\n"
            in Parser(command="a_b", examples=["x --y", "mpirun %(prog)s x"]).format_help()
        )
    assert Parser(command="a_b").prog == "vggrepro a-b"


LISTS = ["eval_ilsvrc.py", "--list-rows"]


def shell(line):
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "arguments", [LISTS, ["eval_ilsvrc.py", "--help"], ["convert_caffemodel.py"]], ids=str
)
@pytest.mark.parametrize("end", [">&-", "2>&-", ">&- 2>&-", "2>&1 | true", "<&- | true"])
def test_streams_that_nobody_reads_are_nothing_to_speak_of(arguments, end):
    command = " ".join([sys.executable, str(TOOLS / arguments[0]), *arguments[1:]])
    whole = shell(f"{command}")
    done = shell(f"set -o pipefail; {command} {end}")
    assert done.returncode == whole.returncode
    assert "Exception" not in done.stderr
    assert "Broken" not in done.stderr


def test_a_full_disk_behind_standard_output_is_an_error():
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    done = shell(f"{sys.executable} {TOOLS / LISTS[0]} {LISTS[1]} > /dev/full")
    assert (done.returncode, done.stderr) == (2, "error: standard output: No space left on device\n")


def test_other_commands_are_called_as_this_one_was():
    assert called("check-reference") == "vggrepro check-reference"
    with called_as("a b/convert_caffemodel.py"):
        assert called("check-reference") == "'a b/check_reference.py'"
    with called_as("convert_caffemodel.py"):
        assert called("check_reference") == "./check_reference.py"
