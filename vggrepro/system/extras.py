"""Optional packages: imported on first use, and named with the command that installs them."""

from __future__ import annotations

import importlib
from typing import Any

from vggrepro.errors import DataError


def extra(module: str, name: str, purpose: str) -> Any:
    """Import ``module``, which the extra ``name`` installs. Raises DataError where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f'{purpose} needs the package {module!r} ({error}): pip install "vggrepro[{name}]"'
        ) from error
