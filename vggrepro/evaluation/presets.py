"""From a row of the paper and the user's weights to what must be run: ``--table 4 --row "D:256;512"``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.protocols import BEFORE, Member
from vggrepro.paper.tables import ROWS, TITLES, Row, Tested, table

CONFIGS = ("A", "A-LRN", "B", "C", "D", "E")

PROTOTXT = Path(__file__).resolve().parents[1] / "prototxt"
"""The paper's configurations: in a checkout a link to its ``prototxt/``, in an installed package files."""


@dataclass(frozen=True)
class NetFiles:
    """A network to evaluate: its name in results, its deploy prototxt and its weights."""

    name: str
    deploy: Path
    weights: Path


def find_row(number: int, key: str) -> Row:
    """The row of a table. ``key`` may spell a range as 256;512, 256-512 or [256;512].

    Raises ProtocolError that lists the keys, for an unknown table or row and for other groups' systems.
    """
    rows = table(number)
    if not rows:
        raise ProtocolError(f"table {number}: the paper's results are in tables 3 to 7")
    for row in rows:
        if row.key == _normal(key):
            if not row.tested:
                raise ProtocolError(
                    f"table {number}, row {key!r}: {row.label} cannot be run, it is for context"
                )
            return row
    known = ", ".join(row.key for row in rows if row.tested)
    raise ProtocolError(f"table {number} has no row {key!r}: expected one of {known}")


def _normal(key: str) -> str:
    """One spelling for "[256;512]", "256-512" and "256;512"."""
    return re.sub(r"\[?(\d+)[;-](\d+)\]?", r"\1;\2", key.strip())


def members(row: Row, *, average: str = BEFORE) -> tuple[Member, ...]:
    """What the row evaluates. Section 3.2 flips images under every protocol."""
    return tuple(_member(tested, average) for tested in row.tested)


def _member(tested: Tested, average: str) -> Member:
    return Member(str(tested.net), tested.protocol, tested.scales, flip=True, average=average)


def list_rows() -> str:
    """All rows that can be run, for ``--list-rows``: key, what it evaluates, the paper's errors."""
    lines = []
    for number, title in TITLES.items():
        lines.append(f"Table {number}. {title}")
        lines += [_described(row) for row in ROWS if row.table == number and row.tested]
    return "\n".join(lines)


def _described(row: Row) -> str:
    tested = row.tested[0]
    nets = " ".join(str(t.net) for t in row.tested) if len(row.tested) > 1 else str(tested.net)
    scales = sorted({q for t in row.tested for q in t.scales})
    what = f"{tested.protocol}, Q={','.join(map(str, scales))}, nets {nets}"
    return f"  --table {row.table} --row {_quoted(row.key):22} top-1 {row.top1} top-5 {row.top5}  ({what})"


def _quoted(key: str) -> str:
    return f'"{key}"' if ";" in key else key


_KEY = re.compile(r"([A-Za-z0-9_.:;\[\]-]+)=(.+)", re.DOTALL)


def _split(option: str) -> tuple[str | None, Path]:
    """``KEY=FILE`` or ``FILE``; a file whose own name has an equals sign is taken as it is."""
    match = _KEY.fullmatch(option)
    if match is None or Path(option).exists():
        return None, Path(option)
    return _normal(match.group(1)), Path(match.group(2))


def for_names(
    names: Sequence[str], weights: Sequence[str], deploys: Sequence[str], prototxt: Path
) -> list[NetFiles]:
    """Files for the nets of a row ("D:256;512", ...). Options are ``KEY=FILE``, where KEY is such a name, or
    the configuration alone where the row has one net of it; or just ``FILE`` where the row has one net.

    Raises ProtocolError for nets without weights, options that fit no net, and ambiguous ones.
    """
    chosen = _assign("--weights", names, weights)
    missing = [name for name in names if name not in chosen]
    if missing:
        wanted = " ".join(f'--weights "{name}=FILE"' for name in missing)
        raise ProtocolError(f"no weights for {', '.join(missing)}: expected {wanted}")
    own = _assign("--deploy", names, deploys)
    return [NetFiles(n, own[n] if n in own else _published(n, prototxt), chosen[n]) for n in names]


def _assign(flag: str, names: Sequence[str], options: Sequence[str]) -> dict[str, Path]:
    chosen: dict[str, Path] = {}
    for option in options:
        key, path = _split(option)
        fitting = [name for name in names if key in (None, name, name.split(":")[0])]
        if len(fitting) != 1:
            got = "fits none of" if not fitting else "could mean any of"
            raise ProtocolError(f"{flag} {option}: {got} {', '.join(fitting or names)}")
        if fitting[0] in chosen:
            raise ProtocolError(f"{flag} {option}: {fitting[0]} was given before ({chosen[fitting[0]]})")
        chosen[fitting[0]] = path
    return chosen


def for_options(weights: Sequence[str], deploys: Sequence[str], prototxt: Path) -> list[NetFiles]:
    """Files for nets outside the tables. A key that is a configuration of the paper (A to E, with or without
    a training scale) brings its own deploy prototxt; every other needs ``--deploy``.

    Raises ProtocolError if there is no net, or if one has no deploy prototxt.
    """
    split = [_split(option) for option in weights]
    if not split:
        raise ProtocolError("no network: expected --weights FILE with --deploy FILE, or --weights D=FILE")
    names = [key or path.stem for key, path in split]
    if len(set(names)) != len(names):
        raise ProtocolError(f"--weights name the same network twice: {', '.join(names)}")
    own = _assign("--deploy", names, deploys)
    return [
        NetFiles(name, own[name] if name in own else _published(name, prototxt), path)
        for name, (_, path) in zip(names, split, strict=True)
    ]


def _published(name: str, prototxt: Path) -> Path:
    config = name.split(":")[0]
    if config not in CONFIGS:
        raise ProtocolError(
            f"network {name}: expected --deploy FILE (only {', '.join(CONFIGS)} have their own)"
        )
    path = prototxt / config / "deploy.prototxt"
    if not path.is_file():
        raise ProtocolError(f"network {name}: no {path}; expected --deploy FILE or --prototxt-dir DIR")
    return path
