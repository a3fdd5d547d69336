"""Images with their ground truth."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from vggrepro.cli.options.truth import TruthOptions
from vggrepro.errors import OptionError


def test_images_with_a_list(images: Path) -> None:
    truth = TruthOptions(images / "images", images / "val.txt").open(embedded=False)
    assert len(truth.labels) == len(truth.source) == 23


def test_no_images() -> None:
    with pytest.raises(OptionError, match="no images: expected --images PATH"):
        TruthOptions().open(embedded=False)


@pytest.mark.parametrize("name", [field.name for field in fields(TruthOptions)])
def test_the_demo_brings_its_own(name: str) -> None:
    with pytest.raises(OptionError, match=f"--{name.replace('_', '-')}: --demo brings its own"):
        replace(TruthOptions(), **{name: Path("x")}).open(embedded=True)
    assert len(TruthOptions().open(embedded=True).source) == 500
