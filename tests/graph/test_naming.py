"""Names in finished graphs, as the README documents them."""

from __future__ import annotations

from pathlib import Path

from net_files import image, layer, net_of

from vggrepro.graph.naming import (
    LOSS,
    gradient_name,
    history_name,
    moved_name,
    next_name,
    output_names,
    state_name,
)


def test_documented_names() -> None:
    assert state_name("lstm1", "h") == "state:lstm1:h"
    assert next_name("lstm1", "h") == "next:lstm1:h"
    assert next_name("bn", 2) == "next:bn:2"
    assert gradient_name("conv1:0") == "d:conv1:0"
    assert LOSS == "loss:total"


def test_names_of_update_graphs() -> None:
    assert moved_name(history_name(1)) == "h1'"


def test_blobs_keep_their_names_but_for_inputs_that_are_changed_in_place(tmp_path: Path) -> None:
    changed = net_of(tmp_path, image(2, 3) + layer("r", "ReLU", "data", "data") + layer("p", "Power", "data"))
    assert output_names(changed) == {"data": "data#r", "p": "p"}
    inner = net_of(tmp_path, image(2, 3) + layer("p", "Power", "data") + layer("r", "ReLU", "p", "p"))
    assert output_names(inner) == {"data": "data", "p": "p"}
