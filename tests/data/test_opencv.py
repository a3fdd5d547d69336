"""What is said where OpenCV cannot be imported."""

import sys
from importlib.abc import MetaPathFinder

import pytest

from vggrepro.data.opencv import opencv
from vggrepro.errors import DataError


@pytest.fixture
def broken_import(monkeypatch):
    """Make ``import cv2`` fail with a message."""

    def install(message: str) -> None:
        class Finder(MetaPathFinder):
            def find_spec(self, name, path, target=None):
                if name == "cv2":
                    raise ImportError(message)

        monkeypatch.delitem(sys.modules, "cv2", raising=False)
        monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
        opencv.cache_clear()

    yield install
    opencv.cache_clear()


def test_missing_libgl_is_told_with_the_remedy(broken_import):
    broken_import("libGL.so.1: cannot open shared object file: No such file or directory")
    with pytest.raises(DataError, match=r"libGL\.so\.1.*apt-get install libgl1.*opencv-python-headless"):
        opencv()


def test_missing_opencv_is_told_with_the_remedy(broken_import):
    broken_import("No module named 'cv2'")
    with pytest.raises(DataError, match=r'pip install "opencv-python>=4\.8"'):
        opencv()


def test_opencv_uses_no_threads_of_its_own():
    assert opencv().getNumThreads() == 1
