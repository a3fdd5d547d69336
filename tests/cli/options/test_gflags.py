"""Flags as gflags reads them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from vggrepro.cli.options.gflags import GlogFlags, flag, flags_help, read_flags, wants_help
from vggrepro.errors import OptionError


@dataclass(frozen=True)
class Flags(GlogFlags):
    solver: str = flag("", "the solver")
    iterations: int = flag(50, "how many")
    shuffle: bool = flag(False, "whether")


@pytest.mark.parametrize("dash", ["-", "--"])
def test_spellings(dash: str) -> None:
    for words in (
        [f"{dash}solver=a=b", f"{dash}iterations", "7"],
        [f"{dash}solver", "a=b", f"{dash}iterations=+7"],
    ):
        assert read_flags(Flags, words) == (Flags(solver="a=b", iterations=7), [])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-shuffle"], True),
        (["-noshuffle"], False),
        (["-shuffle=0"], False),
        (["-shuffle=TRUE"], True),
        (["-shuffle=y", "-shuffle=n"], False),
        ([], False),
    ],
)
def test_switches(words: list[str], expected: bool) -> None:
    assert read_flags(Flags, [*words, "word"]) == (Flags(shuffle=expected), ["word"])


def test_words_and_the_end_of_flags() -> None:
    flags, words = read_flags(Flags, ["a", "-solver", "-dashes", "-", "--", "-solver", "b"])
    assert (flags.solver, words) == ("-dashes", ["a", "-", "-solver", "b"])


def test_an_empty_value_is_one() -> None:
    assert read_flags(Flags, ["-solver", "", "-iterations=1"])[0] == Flags(iterations=1)


def test_flags_of_glog_change_nothing() -> None:
    words = ["-logtostderr", "--alsologtostderr=1", "-nolog_prefix", "-v", "2", "-stderrthreshold=0"]
    assert read_flags(Flags, words) == (Flags(), [])
    assert read_flags(Flags, ["-minloglevel=2", "-log_dir", "x"])[0] == Flags(minloglevel=2, log_dir="x")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("-slover=a", r"unknown command line flag 'slover'; did you mean 'solver'"),
        ("-nosolver", "unknown command line flag 'nosolver'"),
        ("-iterations=many", "illegal value 'many' specified for flag 'iterations': expected a whole number"),
        ("-shuffle=maybe", "illegal value 'maybe' specified for flag 'shuffle'"),
        ("-solver", "flag '-solver' is missing its argument"),
        ("-flagfile=x", "-flagfile: reading flags from elsewhere is not supported"),
    ],
)
def test_wrong_flags(word: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read_flags(Flags, [word])


def test_help() -> None:
    assert flags_help(Flags) == [
        ("-solver", "the solver"),
        ("-iterations", "how many (default: 50)"),
        ("-shuffle", "whether"),
    ]
    assert wants_help(["-solver", "x", "-help"]) and not wants_help(["-solver=help"])
