"""Notes on images that cannot be decoded or end early: a file of JSON lines beside a view cache."""

from __future__ import annotations

import json
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggrepro.system.atomic import replacing
from vggrepro.system.json_text import parsed_json
from vggrepro.system.lines import cut_torn_line

_INDEX = re.compile(rb'"index": (\d+)\b')


@dataclass(frozen=True)
class ImageNotes:
    """The file at ``path``, which need not exist."""

    path: Path

    def add(self, index: int, name: str, kind: str, reason: str) -> None:
        """Append one line that is on the disk when this returns; it is written at once, so that lines of
        several ranks do not mix. Raises OSError, which names the file."""
        line = json.dumps({"index": index, "name": name, "kind": kind, "reason": reason}) + "\n"
        view = memoryview(line.encode())
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None
        finally:
            os.close(descriptor)

    def reasons(self, kind: str) -> dict[int, str]:
        """Reasons by index, of one kind, in the order of the images."""
        entries = [entry for entry in map(_entry, self._lines()) if entry is not None]
        return dict(sorted((e["index"], e["reason"]) for e in entries if e["kind"] == kind))

    def mend(self) -> frozenset[int]:
        """Take away the last line if it is torn, and lines that are damaged, with a warning. The images that
        damaged lines were about, as far as they still tell. Raises OSError."""
        cut_torn_line(self.path)  # the image of a torn note is still pending, and will be noted again
        lines = self._lines()
        damaged = [number for number, line in enumerate(lines, 1) if _entry(line) is None]
        if not damaged:
            return frozenset()
        with replacing(self.path) as file:
            file.writelines(line + b"\n" for number, line in enumerate(lines, 1) if number not in damaged)
        found = frozenset(int(i) for number in damaged for i in _INDEX.findall(lines[number - 1]))
        warnings.warn(
            f"{self.path}: line {', '.join(map(str, damaged))} is damaged and dropped; images that it names"
            " are measured again, notes on others that end early may be lost",
            stacklevel=2,
        )
        return found

    def _lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []


def _entry(line: bytes) -> dict[str, Any] | None:
    """What a line says, or None for a damaged one."""
    try:
        entry = parsed_json(line)
        index, kind, reason = entry["index"], entry["kind"], entry["reason"]
    except (ValueError, KeyError, TypeError):
        return None
    whole = type(index) is int and kind in ("bad", "truncated") and isinstance(reason, str)
    return dict(entry) if whole else None
