"""What a converted model tells of its classes, and the card beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vggrepro.cli.options.images import add_synsets_option
from vggrepro.cli.options.read import Options
from vggrepro.cli.options.values import result_file


@dataclass(frozen=True)
class ProvenanceOptions:
    """The names of the classes, and where the model's card goes."""

    synsets: Path | None = None
    card: Path | None = None


def add_provenance_options(options: Options) -> None:
    """Add the options of :class:`ProvenanceOptions`."""
    add_synsets_option(options)
    options.add_argument(
        "--card",
        type=result_file,
        metavar="FILE.md",
        help="write what there is to say of the model: sources, command, inputs, errors, licence",
    )
