"""The presets of training runs: the rows of Table 3, and the shallow net of section 4.1."""

from __future__ import annotations

import pytest

from vggrepro.errors import SolverError
from vggrepro.paper.nets import solver_prototxt
from vggrepro.paper.tables import table
from vggrepro.paper.trainings import PRESETS, find_preset, list_presets
from vggrepro.training.assemble import images_per_iteration
from vggrepro.training.definition import read_definition


def test_presets_are_the_rows_of_table_3_and_the_shallow_net() -> None:
    assert [*(row.key for row in table(3)), "B-5x5:256"] == list(PRESETS)
    for preset in PRESETS.values():
        definition = read_definition(solver_prototxt(preset.config), preset.settings())
        assert images_per_iteration(definition) == 256
        rate = 0.001 if preset.start == "trained" else 0.01
        assert definition.param.base_lr == pytest.approx(rate)
        assert preset.name in list_presets()


@pytest.mark.parametrize(
    ("name", "batch", "rate"),
    [("A:256", 4, 0.01 / 64), ("A:256", 64, 0.0025), ("A:256", 512, 0.01), ("D:384", 128, 0.0005)],
)
def test_fewer_images_lower_the_rate(name: str, batch: int, rate: float) -> None:
    preset = PRESETS[name]
    definition = read_definition(solver_prototxt(preset.config), preset.settings(batch))
    assert definition.param.base_lr == pytest.approx(rate)


def test_presets_by_other_spellings() -> None:
    assert find_preset("D:[256;512]") is find_preset("D:256-512") is PRESETS["D:256;512"]
    assert PRESETS["D:256;512"].trained_from == "D:384"
    with pytest.raises(SolverError, match="no preset 'D:512': expected one of A:256"):
        find_preset("D:512")
