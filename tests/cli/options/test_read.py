"""From argparse's namespace to frozen dataclasses."""

from __future__ import annotations

import argparse
from dataclasses import FrozenInstanceError, dataclass, field

import pytest

from vggrepro.cli.options.read import flag, given, read


@dataclass(frozen=True)
class Inner:
    some_name: int | None = None


@dataclass(frozen=True)
class Outer:
    inner: Inner
    names: tuple[str, ...] = ()
    other: float = field(default=1.5)


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--some-name", type=int)
    parser.add_argument("--names", action="append", default=[])
    parser.add_argument("--other", type=float, default=1.5)
    return parser.parse_args(arguments)


def test_fields_are_options_of_their_names() -> None:
    options = read(Outer, parsed("--some-name", "3", "--names", "a", "--names", "b"))
    assert options == Outer(Inner(3), ("a", "b"), 1.5)
    with pytest.raises(FrozenInstanceError):
        options.other = 2.0  # type: ignore[misc]


def test_what_is_given_is_not_the_default() -> None:
    assert given(read(Inner, parsed())) == []
    assert given(read(Inner, parsed("--some-name", "0"))) == ["some_name"]
    assert given(read(Outer, parsed("--other", "2"))) == ["inner", "other"]


def test_the_option_of_a_field() -> None:
    assert flag("some_name") == "--some-name"
