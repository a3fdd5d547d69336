"""What is fuzzed. A new parser is one more entry of ``TARGETS``."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggrepro.caffe import binary, messages, snapshot, state, text, upgrade, weights
from vggrepro.caffe.recognise import binary_kind, text_kind
from vggrepro.caffe.text_scan import blanked, unknown_fields
from vggrepro.caffe.unknown_layers import read_partly_known_net
from vggrepro.errors import VggReproError

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Target:
    """A parser, and files that it reads."""

    name: str
    corpus: Sequence[str]
    """Patterns of good files, from ``tests/golden``."""
    parse: Callable[[Path], object]
    """Reads a file; also checks what must hold of the result."""
    tokens: Sequence[bytes] = ()
    """Words of the format, for texts."""
    allowed: tuple[type[Exception], ...] = (VggReproError, OSError)
    """What it may raise for a damaged file."""
    largest: int = 200_000
    """Good files of more bytes are left out."""

    def files(self) -> list[bytes]:
        paths = sorted(path for pattern in self.corpus for path in GOLDEN.glob(pattern))
        files = [path.read_bytes() for path in paths if path.stat().st_size <= self.largest]
        if not files:
            raise FileNotFoundError(f"{self.name}: no file for {', '.join(self.corpus)}")
        return files


def read_net_text(path: Path) -> None:
    """What the strict parser takes, the lenient one takes as well, to the same net."""
    try:
        strict = text.read_net(path)
    except VggReproError:
        strict = None
    read = text.read_net(path, allow_unknown=True)
    assert strict is None or strict == read
    net = upgrade.upgrade_net_param(read, str(path))
    assert text.parse_net(text.format_message(net)) == net
    snapshot.saved_net(state.filter_net(net, phase="TEST"))


def read_solver_text(path: Path) -> None:
    solver = upgrade.upgrade_solver_param(text.read_solver(path, allow_unknown=True), str(path))
    assert text.parse_solver(text.format_message(solver)) == solver


def blank(path: Path) -> None:
    written = text.read_text(path)
    unknown = list(unknown_fields(written, messages.NetParameter.DESCRIPTOR))
    rest = blanked(written, unknown)
    assert len(rest) == len(written)
    assert rest.split() == written.split() or unknown


def upgrade_binary(path: Path) -> None:
    """What is written is whole, whatever was read."""
    file = binary.open_net(path)
    out = io.BytesIO()
    snapshot.write_upgraded(out, upgrade.upgrade_net_report(file.message, str(path)).message, file)
    messages.NetParameter.FromString(out.getvalue())


def recognise(path: Path) -> None:
    data = path.read_bytes()
    binary_kind(memoryview(data))
    text_kind(data.decode("utf-8", errors="surrogateescape"))


SIGNS = b"{ } < > [ ] \" ' \\ # : , - \n".split(b" ")
WORDS = (
    *SIGNS,
    *b"0x 1e999 nan foo layer{ layers{layer{ x:[1, type:99 dim:-1 net_param{ param{ include{".split(),
    *b'stage:"s" input:"a" top:"a" bottom:"a" name:"a" blobs{data:1} shape{dim:0}'.split(),
)
NETS = ("nets/*/net.prototxt", "upgrade/v*/old.prototxt", "errors/*.prototxt")
CAFFEMODELS = ("layers/*/weights.caffemodel", "upgrade/*/old.caffemodel", "train/*/*.caffemodel")


def is_strange(layer: Any) -> bool:
    """As if the package knew nearly no layers."""
    return layer.type not in ("ReLU", "Input")


TARGETS = (
    Target("net definition", NETS, read_net_text, WORDS),
    Target(
        "solver definition",
        ("train/*/solver.prototxt", "upgrade/solver*/old.prototxt"),
        read_solver_text,
        WORDS,
    ),
    Target("unknown fields", NETS, blank, WORDS),
    Target("unknown layers", NETS, lambda path: read_partly_known_net(path, is_strange), WORDS),
    Target("weights", CAFFEMODELS, weights.read_weights, largest=20_000),
    Target("upgraded weights", CAFFEMODELS, upgrade_binary, largest=20_000),
    Target("solver state", ("train/*/*.solverstate",), snapshot.read_solverstate, largest=20_000),
    Target("blob", ("lmdb/mean.binaryproto", "layers/*/*.binaryproto"), binary.read_blob),
    Target("HDF5 weights", ("train/*/*.caffemodel.h5",), weights.read_weights),
    Target("HDF5 solver state", ("train/*/*.solverstate.h5",), snapshot.read_solverstate),
    Target("recognition", (*CAFFEMODELS, *NETS, "lmdb/mean.binaryproto"), recognise, WORDS, (), 20_000),
)
