"""Finding and listing the rows of the paper's tables: ``--table 4 --row "D:256;512"``."""

from __future__ import annotations

from collections.abc import Sequence

from vggrepro.errors import ProtocolError, did_you_mean
from vggrepro.paper.nets import PUBLISHED, canonical
from vggrepro.paper.tables import ROWS, TITLES, TableRow, table
from vggrepro.text_table import aligned


def find_row(number: int, key: str) -> TableRow:
    """The row of table ``number`` with this key. A range may be spelt 256;512, 256-512 or [256;512].

    Raises ProtocolError that lists the keys, for an unknown table or row and for other groups' systems.
    """
    rows = _rows(number)
    for row in rows:
        if row.key == canonical(key):
            if not row.tested:
                raise ProtocolError(
                    f"table {number}, row {key!r}: {row.label} cannot be run, it is for context"
                )
            return row
    known = ", ".join(row.key for row in rows if row.tested)
    close = did_you_mean(key, [row.key for row in rows if row.tested])
    raise ProtocolError(f"table {number} has no row {key!r}: expected one of {known}{close}")


def find_rows(numbers: Sequence[int], keys: Sequence[str]) -> list[TableRow]:
    """The rows of the tables ``numbers``, each once: all that can be run, or those with the ``keys``, each of
    which at least one of the tables must have. Raises ProtocolError as :func:`find_row`."""
    if not keys:
        return list(dict.fromkeys(row for number in numbers for row in runnable_rows(number)))
    found: dict[TableRow, None] = {}
    for key in keys:
        having = [n for n in numbers if any(row.key == canonical(key) for row in _rows(n))]
        found.update((find_row(number, key), None) for number in having or numbers)
    return list(found)


def published_rows(nets: Sequence[str]) -> list[TableRow]:
    """The rows of Tables 3 to 7 that the published weights of ``nets`` (D, E, or both) can be run for: those
    of nets trained with scale jittering. Raises ProtocolError for a net whose weights are not published."""
    for net in nets:
        if net not in PUBLISHED:
            raise ProtocolError(
                f"--published {net}=...: expected {' or '.join(PUBLISHED)}, the published nets"
            )
    names = {PUBLISHED[net] for net in nets}
    return [row for row in ROWS if row.tested and {str(tested.net) for tested in row.tested} <= names]


def runnable_rows(number: int) -> list[TableRow]:
    """The rows of a table that test nets of the paper, not other groups' systems. Raises ProtocolError for an
    unknown table."""
    return [row for row in _rows(number) if row.tested]


def _rows(number: int) -> tuple[TableRow, ...]:
    rows = table(number)
    if not rows:
        raise ProtocolError(f"--table {number}: the paper's results are in tables 3 to 7")
    return rows


def list_rows() -> str:
    """All rows that can be run, for ``--list-rows``: key, the paper's errors in percent, what is tested."""
    rows = [row for row in ROWS if row.tested]
    lines = dict(zip(rows, aligned([_cells(row) for row in rows]), strict=True))
    text = []
    for number, title in TITLES.items():
        text.append(f"Table {number}. {title}")
        text += [f"  {lines[row]}" for row in rows if row.table == number]
    return "\n".join(text)


def _cells(row: TableRow) -> list[str]:
    nets = " ".join(str(tested.net) for tested in row.tested)
    scales = sorted({scale for tested in row.tested for scale in tested.scales})
    what = f"({row.tested[0].protocol}, Q={','.join(map(str, scales))}, nets {nets})"
    key = f'"{row.key}"' if ";" in row.key else row.key
    return [f"--table {row.table} --row {key}", f"top-1 {row.top1} top-5 {row.top5}", what]
