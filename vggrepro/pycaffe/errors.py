"""Errors in the form that scripts expect of Caffe's module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vggrepro.errors import PycaffeError, VggReproError


@contextmanager
def as_runtime_error() -> Iterator[None]:
    """Turn every error of the package into a RuntimeError, which is what Caffe's module raises."""
    try:
        yield
    except PycaffeError:
        raise
    except VggReproError as error:
        raise PycaffeError(str(error)) from error


def check_file(path: str) -> None:
    """Raise RuntimeError, in Caffe's words, for a file that cannot be opened."""
    try:
        Path(path).open("rb").close()
    except OSError:
        raise PycaffeError(f"Could not open file {path}") from None
