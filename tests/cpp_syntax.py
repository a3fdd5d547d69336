"""Lines of C++ that call OpenCV, checked by the compiler."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache

HEAD = """
#include <opencv2/dnn.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
"""
COMPILER = ["g++", "-std=c++17", "-fsyntax-only", "-I/usr/include/opencv4", "-x", "c++", "-"]


@cache
def has_opencv_for_cpp() -> bool:
    """Whether there are a compiler and OpenCV's headers (Debian: ``libopencv-dev``; elsewhere by CPATH)."""
    return shutil.which("g++") is not None and _complaint("") == ""


def complaint(lines: str, given: str = "") -> str:
    """What the compiler says of ``lines`` within a function that has the variables ``given``; nothing if they
    are right."""
    return _complaint(f"void run({given}) {{\n{lines}\n}}\n")


def _complaint(text: str) -> str:
    return subprocess.run(COMPILER, input=HEAD + text, capture_output=True, text=True, check=False).stderr
