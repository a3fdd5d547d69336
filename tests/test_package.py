"""What is published: a source archive that holds its own tests, and a wheel that runs anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
TRACKED = ("docs", "prototxt", "tests", "tools", "vggrepro", "benchmarks")

pytestmark = pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="built from a checkout")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "checkout"
    run("git", "clone", "--quiet", str(REPOSITORY), str(source), cwd=folder)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source), cwd=folder)
    return folder


def run(*command: str, cwd: Path, **environment: str) -> str:
    ended = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_the_wheel_runs_the_demo_and_finds_its_files(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    place = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(place)
    assert any(name.endswith("LICENSE") for name in names)
    assert any(name.endswith("THIRD_PARTY_NOTICES.md") for name in names)
    assert not [name for name in names if not name.startswith("vggrepro")]
    here = "import vggrepro; print(vggrepro.__file__)"
    assert str(place) in run(sys.executable, "-c", here, cwd=tmp_path, PYTHONPATH=str(place))
    vggrepro = (sys.executable, "-m", "vggrepro")
    demo = run(*vggrepro, "eval-ilsvrc", "--demo", "--limit", "20", cwd=tmp_path, PYTHONPATH=str(place))
    assert "top-1" in demo
    run(*vggrepro, "inspect-net", "--help", cwd=tmp_path, PYTHONPATH=str(place))
    presets = run(*vggrepro, "train-ilsvrc", "--list-presets", cwd=tmp_path, PYTHONPATH=str(place))
    assert "B-5x5" in presets


@pytest.mark.slow
def test_the_source_archive_holds_all_and_passes_its_own_tests(built: Path, tmp_path: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    listed = run("git", "ls-files", *TRACKED, "*.md", "LICENSE", "CITATION.cff", cwd=REPOSITORY).splitlines()
    assert [name for name in listed if not (unpacked / name).exists()] == []
    tests = ["tests/test_house.py", "tests/cli/test_main.py", "tests/layers/test_lrn.py"]
    run(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests,
        cwd=unpacked, PYTHONPATH=str(unpacked),
    )  # fmt: skip
