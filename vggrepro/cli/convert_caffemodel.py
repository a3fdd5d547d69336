"""convert_caffemodel: a Caffe model to one ONNX file, verified if asked.

The digest of the weights takes as long as all the rest, so it begins before the options are read, and before
what reads them is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vggrepro.system.file_digest import digesting
from vggrepro.system.file_names import WEIGHT_ENDINGS

if TYPE_CHECKING:
    import argparse


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 converted, 1 verification failed (nothing is written), 2 an error."""
    command = tuple(sys.argv[1:] if argv is None else argv)
    with digesting(_weights_among(command)):
        from vggrepro.cli.conversion import convert

        return convert(command)


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    from vggrepro.cli import conversion

    return conversion.parser()


def _weights_among(command: Sequence[str]) -> Path | None:
    """The argument that is called as weights are. If it is something else, nobody asks for its digest."""
    return next((Path(word) for word in command if word.endswith(WEIGHT_ENDINGS)), None)


if __name__ == "__main__":
    sys.exit(main())
