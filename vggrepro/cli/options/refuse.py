"""Options that do not go together are refused by name: what a user gives counts, or is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vggrepro.cli.options.read import flag, given
from vggrepro.errors import OptionError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def refuse_with_demo(options: DataclassInstance, *names: str) -> None:
    """Raise OptionError if one of the fields ``names`` is given: the demo brings its own."""
    _refuse(options, names, "--demo brings its own")


def refuse_together(flag: str, options: DataclassInstance, *names: str) -> None:
    """Raise OptionError if one of the fields ``names`` is given where the option ``flag`` is given."""
    _refuse(options, names, f"leave out this or {flag}")


def refuse_without(needed: str, options: DataclassInstance, *names: str) -> None:
    """Raise OptionError if one of the fields ``names`` is given where the option ``needed`` is not."""
    _refuse(options, names, f"expected {needed} with it")


def _refuse(options: DataclassInstance, names: tuple[str, ...], why: str) -> None:
    asked = given(options)
    for name in names:
        if name in asked:
            raise OptionError(f"{flag(name)}: {why}")
