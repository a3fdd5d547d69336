"""Options that do not go together."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from vggrepro.cli.options.refuse import refuse_with_demo, refuse_without
from vggrepro.errors import OptionError


@dataclass(frozen=True)
class Some:
    val_labels: str | None = None
    flip: bool | None = None


def test_what_is_given_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match=r"^--val-labels: --demo brings its own$"):
        refuse_with_demo(Some(val_labels="x"), "flip", "val_labels")
    with pytest.raises(OptionError, match=r"^--flip: expected --data PATH with it$"):
        refuse_without("--data PATH", Some(flip=False), "val_labels", "flip")


def test_what_is_not_given_or_not_named_is_not_refused() -> None:
    refuse_with_demo(Some(), "val_labels", "flip")
    refuse_with_demo(Some(flip=True), "val_labels")
