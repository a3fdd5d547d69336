"""The one place that imports OpenCV, on first use, so that a broken install is an error in words."""

from __future__ import annotations

from functools import cache
from typing import Any

from vggrepro.errors import DataError
from vggrepro.system.freed_memory import keep


@cache
def opencv() -> Any:
    """The ``cv2`` module. Raises DataError that says what to install where the import fails.

    OpenCV's own threads are switched off: images are what is spread over threads here, and two
    levels of threads would fight for the same cores. The memory of each picture is kept for the next.
    """
    try:
        import cv2
    except ImportError as error:
        raise DataError(_advice(error)) from error
    cv2.setNumThreads(0)
    keep()
    _silence(cv2)
    return cv2


def is_opencv5(cv2: Any) -> bool:
    """Whether a ``cv2`` module is of OpenCV 5, which reads no Caffe files, or of a later one."""
    return int(cv2.__version__.split(".")[0]) >= 5


def _silence(cv2: Any) -> None:
    """Files that cannot be read are named by our own errors, without OpenCV's lines between them.
    OpenCV 5 moved the function."""
    if hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(0)
    else:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _advice(error: ImportError) -> str:
    if "libGL" in str(error) or "libgthread" in str(error) or "libglib" in str(error):
        return (
            f"import cv2: {error}: install the library (Debian, Ubuntu: apt-get install libgl1 libglib2.0-0),"
            ' or OpenCV without windows (pip uninstall opencv-python; pip install "opencv-python-headless")'
        )
    return f'import cv2: {error}: install OpenCV (pip install "opencv-python>=4.8")'
