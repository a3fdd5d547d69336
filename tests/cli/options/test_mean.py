"""The mean pixel as an option."""

from __future__ import annotations

import argparse

import pytest

from vggrepro.cli.options.mean import add_mean_option


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_mean_option(parser, "that of ILSVRC")
    return parser


def test_three_numbers(parser: argparse.ArgumentParser) -> None:
    assert parser.parse_args(["--mean", "103.939,116.779,-1"]).mean == (103.939, 116.779, -1.0)
    assert parser.parse_args([]).mean is None


def test_the_help_tells_what_holds_without_it(parser: argparse.ArgumentParser) -> None:
    told = " ".join(parser.format_help().split())
    assert "--mean B,G,R mean pixel, 0-255" in told
    assert "(default: that of ILSVRC)" in told


@pytest.mark.parametrize("text", ["1,2", "1,2,3,4", "1,2,x", "nan,1,2", ""])
def test_what_is_no_pixel(
    parser: argparse.ArgumentParser, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args([f"--mean={text}"])
    assert stopped.value.code == 2
    assert "argument --mean: expected" in capsys.readouterr().err
