"""What becomes of fields and enum values that forks of Caffe added to BVLC's messages.

``fork_fields.tsv`` has a row for each that is known by name. Those that are understood are part of the
schema (``forks.proto``). Of the others only those may be left out on which no number depends: who allows
unknown fields gets a warning for these, and an error for all others.

DEVIATION: Caffe refuses every field that its own schema lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from vggrepro.caffe.text_scan import UnknownField

Verdict = Literal["understood", "harmless", "refused"]

HARMLESS_MESSAGES = frozenset(
    {
        *("NetParameter", "LayerParameter", "V1LayerParameter"),
        *("TransformationParameter", "DataParameter", "ImageDataParameter", "HDF5DataParameter"),
        *("HDF5OutputParameter", "MemoryDataParameter", "WindowDataParameter"),
    }
)
"""What nets, layers as such, and data layers are told. Data are inputs of a graph, however they are read.
Fields of all other messages are taken to change what is computed, learned or loaded."""

HARMLESS_ENUMS = frozenset({"engine", "backend"})
"""Fields whose values choose among implementations of one computation, or among databases."""

HARMLESS_LISTS = frozenset({"device_id"})
"""Fields of one value that some fork gives a list: yjxiong/caffe's solvers name all GPUs that they run on."""


@dataclass(frozen=True)
class ForkField:
    """A row of ``fork_fields.tsv``."""

    message: str
    field: str
    number: str
    """The fork's field number; ``-`` where forks differ or it is not known."""
    type: str
    origin: str
    """The fork, or several."""
    verdict: Verdict
    neutral: str | None
    """The value of a refused field that changes nothing: its fork's default; None where it is not known."""
    rule: str
    """What the field does, where it is understood; else why it is harmless or refused."""


@lru_cache(maxsize=1)
def fork_fields() -> dict[tuple[str, str], ForkField]:
    """The table, by message and field."""
    text = Path(__file__).with_name("fork_fields.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")][1:]
    table = {}
    for message, field, number, kind, origin, given, rule in rows:
        word, _, neutral = given.partition(" but for ")
        (verdict,) = (known for known in get_args(Verdict) if known == word)
        table[message, field] = ForkField(
            message, field, number, kind, origin, verdict, neutral or None, rule
        )
    return table


def is_harmless(unknown: UnknownField) -> bool:
    """Whether no number depends on a field or enum value that the schema lacks."""
    if unknown.value is not None:
        return unknown.field in HARMLESS_ENUMS | HARMLESS_LISTS
    message = unknown.message_type.rpartition(".")[2]
    row = fork_fields().get((message, unknown.field))
    if row is None:
        return message in HARMLESS_MESSAGES or unknown.field == "engine"  # Intel's Caffe has one in most
    return row.verdict == "harmless" or (row.neutral is not None and _equal(unknown.written, row.neutral))


_TRUTHS = {"True": "true", "t": "true", "1": "true", "False": "false", "f": "false", "0": "false"}
"""Other spellings of what is true and false."""


def _equal(written: str, neutral: str) -> bool:
    """Whether a value as a file has it is the one that the table names."""
    try:
        return float(written) == float(neutral)
    except ValueError:
        return _TRUTHS.get(written, written) == neutral


def is_refused(unknown: UnknownField) -> bool:
    """Whether the table says that a field changes numbers and is not implemented, with the value it has."""
    row = fork_fields().get((unknown.message_type.rpartition(".")[2], unknown.field))
    return row is not None and row.verdict == "refused" and not is_harmless(unknown)


def why_not(unknown: UnknownField) -> str:
    """What the table says of a field that is refused; else what is to be feared."""
    row = fork_fields().get((unknown.message_type.rpartition(".")[2], unknown.field))
    if row is None:
        return "it may change what is computed"
    return f"{row.origin}: {row.rule}" + ("" if row.neutral is None else f" unless it is {row.neutral}")
