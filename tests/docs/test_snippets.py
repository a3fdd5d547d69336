"""Every snippet of the documentation that says so is run, one page after another in a folder of its own.

In a page the comment ``<!-- run -->`` above a block of bash or python has it run, and ``<!-- file: NAME -->``
has it kept as a file for the blocks behind it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from vggrepro.evaluation import demo
from vggrepro.net import load_net, save_weights

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"<!-- (run|file)(?:: ([^>]*?))? -->\n+```(\w+)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A block of a page: what is to be done with it, with which words, and its language and text."""

    action: str
    words: str
    language: str
    text: str


def snippets(page: Path) -> list[Snippet]:
    return [Snippet(*(part or "" for part in found)) for found in BLOCK.findall(page.read_text())]


PAGES = [page for page in sorted(DOCS.glob("*.md")) if snippets(page)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small published-style model, an image and what the snippets call: ``vggrepro`` and ``python``."""
    net = load_net(demo.FILES.deploy, demo.FILES.weights)
    (tmp_path / "deploy.prototxt").write_bytes(Path(demo.FILES.deploy).read_bytes())
    save_weights(net, tmp_path / "weights.caffemodel")
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "image.jpg"), rng.integers(0, 256, (90, 120, 3), dtype=np.uint8))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in {"vggrepro": "-m vggrepro", "python": ""}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        (programs / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_snippets_of_a_page_run(page: Path, folder: Path) -> None:
    for snippet in snippets(page):
        if snippet.action == "file":
            (folder / snippet.words).write_text(snippet.text)
        elif snippet.words != "where OpenCV is 5" or cv2.__version__.startswith("5"):
            run(snippet, folder)


def run(snippet: Snippet, folder: Path) -> None:
    text = snippet.text
    if "run-pycaffe" in snippet.words:
        text = text.replace("python ", "vggrepro run-pycaffe ")
    command = ["bash", "-euo", "pipefail", "-c", text] if snippet.language == "bash" else [
        sys.executable, "-c", text]  # fmt: skip
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{snippet.text}\n{ended.stdout}\n{ended.stderr}"


def test_pages_with_snippets_are_found() -> None:
    assert "regression" in [page.stem for page in PAGES]
