"""Modules that forks add to the package ``caffe`` in Python, such as SSD's ``caffe.model_libs``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType


class ForkModules(MetaPathFinder):
    """Finds what this package's ``caffe`` lacks in a folder ``caffe`` of the script's path: the fork's own
    Python files, which then work on the module here."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module ``caffe.<name>``; None for every other."""
        package, _, name = fullname.rpartition(".")
        if package != "caffe" or not name:
            return None
        return PathFinder.find_spec(fullname, [str(Path(folder, "caffe")) for folder in sys.path])


def find_fork_modules() -> None:
    """Let ``import caffe.<name>`` find such files, after every other way has found nothing."""
    if not any(isinstance(finder, ForkModules) for finder in sys.meta_path):
        sys.meta_path.append(ForkModules())
