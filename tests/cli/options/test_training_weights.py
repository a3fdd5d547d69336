"""Where training begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vggrepro.cli.options.training_weights import WeightOptions
from vggrepro.errors import OptionError, SolverError
from vggrepro.paper.trainings import find_preset
from vggrepro.system.ranks import Alone


def test_weights_that_a_preset_needs() -> None:
    for enough in (WeightOptions(weights=("x",)), WeightOptions(resume="auto")):
        enough.check(find_preset("D:384"))
    for enough in (WeightOptions(init_from=Path("x")), WeightOptions(init="glorot")):
        enough.check(find_preset("D:256"))
        with pytest.raises(OptionError, match=r"preset D:384 needs --weights, .* \(or --resume\)"):
            enough.check(find_preset("D:384"))
    WeightOptions().check(find_preset("A:256"))
    for scheme in (None, "prototxt"):
        with pytest.raises(OptionError, match="preset D:256 needs --init-from"):
            WeightOptions(init=scheme).check(find_preset("D:256"))


def test_presets_draw_glorots_weights_unless_told_otherwise() -> None:
    options = WeightOptions(init_from=Path("x"))
    assert options.of_preset(find_preset("D:256")) == replace(options, init="glorot")
    assert WeightOptions(init="paper").of_preset(find_preset("A:256")).init == "paper"
    with pytest.raises(OptionError, match="preset D:384 needs --weights"):
        options.of_preset(find_preset("D:384"))


def test_initial_weights(tmp_path: Path) -> None:
    prefix = str(tmp_path / "run")
    options = WeightOptions("variance", 0.3, Path("a"), ("b", "c"))
    initial = options.initial(prefix, Alone())
    assert (initial.fillers.scheme, initial.fillers.std, initial.init_from) == ("variance", 0.3, Path("a"))
    assert (initial.weights, initial.resume) == ([Path("b"), Path("c")], None)
    assert replace(options, resume="auto").initial(prefix, Alone()).resume is None
    for iteration in (5, 10):
        (tmp_path / f"run_iter_{iteration}.solverstate").write_bytes(b"")
    newest = tmp_path / "run_iter_10.solverstate"
    assert replace(options, resume="auto").initial(prefix, Alone()).resume == newest
    assert replace(options, resume="x").initial(prefix, Alone()).resume == Path("x")
    with pytest.raises(SolverError, match=r"run_iter_10\.solverstate exists: --resume goes on from it"):
        options.initial(prefix, Alone())


def test_a_standard_deviation_is_for_normal_weights() -> None:
    with pytest.raises(OptionError, match=r"^--init-std: expected --init variance with it$"):
        WeightOptions("glorot", 0.3).initial("x", Alone())
