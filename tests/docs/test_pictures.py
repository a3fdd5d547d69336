"""The pictures of docs/pictures.md: small, all shown, and what the commands on the page make."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from golden_suite import ROOT

from vggrepro.cli.main import main
from vggrepro.evaluation import demo

PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"
PICTURES = PAGE.with_suffix("")
COMMANDS = {
    name: line
    for line, name in re.findall(r"^(vggrepro show .* -o (\S+).*)$", PAGE.read_text(), re.MULTILINE)
}


def test_every_picture_is_shown_and_made_on_the_page() -> None:
    shown = re.findall(r"\]\(pictures/(\S+)\)", PAGE.read_text())
    assert sorted(shown) == sorted(COMMANDS) == sorted(path.name for path in PICTURES.iterdir())
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 300_000


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_picture_is_what_its_command_makes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions of OpenCV draw text, and round, a little differently: pictures may differ by that."""
    shutil.copy(ROOT / "images" / "astronaut.jpg", tmp_path / "image.jpg")
    shutil.copy(demo.FILES.deploy, tmp_path / "deploy.prototxt")
    shutil.copy(demo.FILES.weights, tmp_path / "weights.caffemodel")
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(COMMANDS[name])[1:]) == 0
    if name.endswith(".svg"):
        assert Path(name).read_text() == (PICTURES / name).read_text()
        return
    made, kept = cv2.imread(name), cv2.imread(str(PICTURES / name))
    rows = min(len(made), len(kept))
    columns = min(made.shape[1], kept.shape[1])
    difference = np.abs(made[:rows, :columns].astype(int) - kept[:rows, :columns])
    assert np.mean(difference.max(axis=2) > 2) < 0.1
    assert abs(len(made) - len(kept)) <= 2
