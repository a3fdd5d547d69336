"""Optional packages: imported when they are first needed; an error names the command that installs them."""

from __future__ import annotations

import importlib
from typing import Any

from vggrepro.errors import DataError, VggReproError


def extra(module: str, name: str, purpose: str, error: type[VggReproError] = DataError) -> Any:
    """Import ``module``, which the extra ``name`` of this package installs.

    ``purpose`` says what needs it. Raises ``error`` where the package is missing or does not load.
    """
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise error(
            f'{purpose} needs the package {module!r} ({problem}): pip install "vggrepro[{name}]"'
        ) from problem
