"""Errors in the form that scripts expect of Caffe's module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vggrepro.errors import PycaffeError, ShapeError, VggReproError, did_you_mean


@contextmanager
def as_runtime_error() -> Iterator[None]:
    """Turn every error of the package into a RuntimeError, which is what Caffe's module raises."""
    try:
        yield
    except PycaffeError:
        raise
    except VggReproError as error:
        raise PycaffeError(str(error)) from error


@contextmanager
def advising_on_inputs(shapeless: Sequence[str]) -> Iterator[None]:
    """Says behind a ShapeError raised inside that these inputs had no shape, if there are any."""
    try:
        yield
    except ShapeError as error:
        if not shapeless:
            raise
        options = " ".join(f"--input-shape {name}=N,C,H,W" for name in shapeless)
        raise error.with_advice(f"inputs without a shape: {options}") from error


def check_file(path: str) -> None:
    """Raise RuntimeError, in Caffe's words, for a file that cannot be opened."""
    try:
        Path(path).open("rb").close()
    except OSError:
        raise PycaffeError(f"Could not open file {path}") from None


def place_of(layer: str | None, layers: Sequence[str], default: int) -> int:
    """The place of a layer among the names of all; ``default`` for None. Raises ValueError as ``list.index``
    does, with the name, which Python says no more since 3.14."""
    if layer is None:
        return default
    if layer not in layers:
        raise ValueError(f"{layer!r} is not in list{did_you_mean(layer, layers)}")
    return layers.index(layer)
