"""docs/tour.ipynb runs, and prints what is stored in it.

``python tests/docs/test_tour.py`` runs it, and stores its outputs anew.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tour.ipynb"


def executed(folder: Path) -> Any:
    """The notebook after all of its cells ran in ``folder``, without what they wrote to stderr."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def printed(notebook: Any) -> list[str]:
    """What the code cells print, their numbers and spaces left out, and the kinds of what they show."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            shown = output.get("text") or " ".join(sorted(output.get("data", {})))
            found.append(re.sub(r"[-+.,\d\s]+(e[-+]?\d+)?", " # ", shown))
    return found


@pytest.mark.slow
def test_the_tour_runs_and_prints_what_is_stored(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the tour needs nbformat: pip install '.[test]'")
    pytest.importorskip("nbclient", reason="the tour needs nbclient: pip install '.[test]'")
    pytest.importorskip("ipykernel", reason="the tour needs ipykernel: pip install '.[test]'")
    pytest.importorskip("matplotlib", reason="the tour plots")
    stored = nbformat.read(NOTEBOOK, as_version=4)
    assert printed(executed(tmp_path)) == printed(stored)


if __name__ == "__main__":
    import nbformat

    with tempfile.TemporaryDirectory() as temporary:
        nbformat.write(executed(Path(temporary)), NOTEBOOK)
    sys.exit(0)
