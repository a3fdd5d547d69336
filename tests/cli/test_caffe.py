"""``vggrepro caffe``: which action or tool a command line means."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from caffe_nets import caffe, messages

from vggrepro.cli.caffe import ACTIONS, TOOLS
from vggrepro.cli.caffe_programs import classify, draw_net, parse_log
from vggrepro.cli.caffe_programs.action import ActionFlags
from vggrepro.cli.caffe_programs.convert_imageset import ImagesetFlags
from vggrepro.cli.options.gflags import IGNORED, REFUSED


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["-help"], ["--help"]):
        try:
            assert caffe(*arguments) == 0
        except SystemExit as ended:  # argparse's own way
            assert ended.code == 0
        told = capsys.readouterr().out
        assert told.startswith("usage: vggrepro caffe ")
        assert all(f"  {name}  " in told for name in (*ACTIONS, *TOOLS))


@pytest.mark.parametrize("name", [*ACTIONS, *TOOLS])
def test_every_name_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert caffe(name, "--help") == 0
    except SystemExit as ended:  # argparse's own way
        assert ended.code == 0
    assert capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert caffe("--version") == 0
    assert capsys.readouterr().out.startswith("caffe version 1.0.0 (vggrepro ")


def test_unknown_action(capsys: pytest.CaptureFixture[str]) -> None:
    assert caffe("trian", "-solver", "x") == 2
    assert "error: Unknown action: trian; there are train, test" in capsys.readouterr().err


def test_flags_may_come_first(brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("-model", "net.prototxt", "-iterations=1", "time", "-logtostderr") == 0
    assert "*** Benchmark ends ***" in messages(capfd.readouterr().err)


def test_a_flags_value_is_no_action(brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("-stage", "test", "-model=net.prototxt", "time", "-iterations", "1") == 0
    assert "*** Benchmark ends ***" in messages(capfd.readouterr().err)
    assert caffe("-stage", "test") == 2
    assert "Unknown action: none; there are train" in capfd.readouterr().err


def test_a_second_word_is_refused(brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("time", "net.prototxt") == 2
    assert "error: one action at a time, and flags: what is 'net.prototxt'?" in capfd.readouterr().err


PAGE = (Path(__file__).parents[2] / "docs" / "caffe-command.md").read_text()
ROWS = re.findall(r"^\| (`.+?`) \| (.+) \|$", PAGE.split("<!-- flags -->")[1], re.MULTILINE)
TOLD = {name: state for names, state in ROWS for name in re.findall(r"`([^`]+)`", names)}


def known() -> set[str]:
    flags = {f.name for kind in (ActionFlags, ImagesetFlags) for f in fields(kind)}
    options = {
        option
        for tool in (classify, draw_net, parse_log)
        for action in tool.parser()._actions
        for option in action.option_strings
        if option not in ("-h", "--help", "--traceback")
    }
    names = {f"caffe {name}" for name in ACTIONS} | set(TOOLS)
    return names | {f"-{name}" for name in flags | set(IGNORED) | set(REFUSED)} | options


def test_the_page_tells_every_name_and_no_other() -> None:
    assert TOLD.keys() == known()
    assert {re.split(r"\W", state)[0] for state in TOLD.values()} <= {
        "works",
        "differs",
        "refused",
        "ignored",
        "not",
    }
    assert {name for name in TOLD if TOLD[name].startswith("ignored")} == {f"-{name}" for name in IGNORED}
