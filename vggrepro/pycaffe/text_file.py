"""Files of text that a script has in memory, for readers that take paths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def text_file(text: str, name: str) -> Iterator[str]:
    """The path of a file of this text and name, which is there inside the block."""
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(text, encoding="utf-8")
        yield str(path)
