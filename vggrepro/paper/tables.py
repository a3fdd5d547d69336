"""The classification results of the paper (arXiv 1409.1556v6, Tables 3 to 7) as data.

Errors are in percent on ILSVRC-2012: ``top1`` and ``top5`` on the 50,000 validation images, ``test_top5``
on the test images. ``None`` stands for a cell that the paper leaves empty.
"""

from __future__ import annotations

from dataclasses import dataclass

from vggrepro.paper.nets import JITTERED, NetName


@dataclass(frozen=True)
class Tested:
    """One network under one protocol at test scales Q (smallest side, pixels)."""

    net: NetName
    protocol: str
    scales: tuple[int, ...]


@dataclass(frozen=True)
class TableRow:
    """One row of a table, with the errors that the paper prints. ``key`` names it on command lines, ``label``
    in reports. ``tested`` are the nets whose posteriors are averaged; it is empty for the systems of other
    groups (Table 7)."""

    table: int
    key: str
    label: str
    top1: float | None
    top5: float | None
    test_top5: float | None = None
    tested: tuple[Tested, ...] = ()
    note: str = ""


TITLES = {
    3: "ConvNet performance at a single test scale",
    4: "ConvNet performance at multiple test scales",
    5: "ConvNet evaluation techniques: dense, multi-crop, both",
    6: "Multiple ConvNet fusion",
    7: "Comparison with the state of the art in ILSVRC classification",
}


def _scales(s: str, several: bool) -> tuple[int, ...]:
    """Q of Table 3 (Q = S, or the middle of the range) and of Table 4 (S-32, S, S+32, or the range)."""
    if s == JITTERED:
        return (256, 384, 512) if several else (384,)
    side = int(s)
    return (side - 32, side, side + 32) if several else (side,)


def _tested(config: str, s: str, several: bool, protocol: str = "dense") -> Tested:
    return Tested(NetName(config, s), protocol, _scales(s, several))


def _one_net(table: int, config: str, s: str, top1: float, top5: float) -> TableRow:
    tested = _tested(config, s, several=table == 4)
    shown = f"S=[{s}]" if s == JITTERED else f"S={s}"
    return TableRow(table, f"{config}:{s}", f"{config}, {shown}", top1, top5, tested=(tested,))


_TABLE_3 = (
    _one_net(3, "A", "256", 29.6, 10.4),
    _one_net(3, "A-LRN", "256", 29.7, 10.5),
    _one_net(3, "B", "256", 28.7, 9.9),
    _one_net(3, "C", "256", 28.1, 9.4),
    _one_net(3, "C", "384", 28.1, 9.3),
    _one_net(3, "C", JITTERED, 27.3, 8.8),
    _one_net(3, "D", "256", 27.0, 8.8),
    _one_net(3, "D", "384", 26.8, 8.7),
    _one_net(3, "D", JITTERED, 25.6, 8.1),
    _one_net(3, "E", "256", 27.3, 9.0),
    _one_net(3, "E", "384", 26.9, 8.7),
    _one_net(3, "E", JITTERED, 25.5, 8.0),
)

_TABLE_4 = (
    _one_net(4, "B", "256", 28.2, 9.6),
    _one_net(4, "C", "256", 27.7, 9.2),
    _one_net(4, "C", "384", 27.8, 9.2),
    _one_net(4, "C", JITTERED, 26.3, 8.2),
    _one_net(4, "D", "256", 26.6, 8.6),
    _one_net(4, "D", "384", 26.5, 8.6),
    _one_net(4, "D", JITTERED, 24.8, 7.5),
    _one_net(4, "E", "256", 26.9, 8.7),
    _one_net(4, "E", "384", 26.7, 8.6),
    _one_net(4, "E", JITTERED, 24.8, 7.5),
)

_PROTOCOL_WORDS = {"dense": "dense", "multicrop": "multi-crop", "both": "multi-crop & dense"}


def _technique(config: str, protocol: str, top1: float, top5: float) -> TableRow:
    label = f"{config}, S=[{JITTERED}], {_PROTOCOL_WORDS[protocol]}"
    tested = _tested(config, JITTERED, several=True, protocol=protocol)
    return TableRow(5, f"{config}:{protocol}", label, top1, top5, tested=(tested,))


_TABLE_5 = (
    _technique("D", "dense", 24.8, 7.5),
    _technique("D", "multicrop", 24.6, 7.5),
    _technique("D", "both", 24.4, 7.2),
    _technique("E", "dense", 24.8, 7.5),
    _technique("E", "multicrop", 24.6, 7.4),
    _technique("E", "both", 24.4, 7.1),
)


def _pair(protocol: str) -> tuple[Tested, ...]:
    """The two best nets after the submission: D and E, both trained with scale jittering."""
    return tuple(_tested(config, JITTERED, several=True, protocol=protocol) for config in ("D", "E"))


_SUBMISSION = tuple(
    _tested(config, s, several=True)
    for config, s in (
        ("D", "256"),
        ("D", "384"),
        ("D", JITTERED),
        ("C", "256"),
        ("C", "384"),
        ("E", "256"),
        ("E", "384"),
    )
)
_SUBMISSION_NOTE = "at submission the jittered D was fine-tuned in its fully connected layers only"

_TABLE_6 = (
    TableRow(6, "ensemble-7", "ILSVRC submission, 7 nets", 24.7, 7.5, 7.3, _SUBMISSION, _SUBMISSION_NOTE),
    TableRow(6, "ensemble-2-dense", "D + E, dense", 24.0, 7.1, 7.0, _pair("dense")),
    TableRow(6, "ensemble-2-multicrop", "D + E, multi-crop", 23.9, 7.2, None, _pair("multicrop")),
    TableRow(6, "ensemble-2", "D + E, multi-crop & dense", 23.7, 6.8, 6.8, _pair("both")),
)

_SPANNING = "one cell spans validation and test"

_TABLE_7 = (
    TableRow(7, "vgg-2", "VGG (2 nets, multi-crop & dense)", 23.7, 6.8, 6.8, _pair("both")),
    TableRow(7, "vgg-1", "VGG (1 net, multi-crop & dense)", 24.4, 7.1, 7.0, _pair("both")[1:]),
    TableRow(
        7, "vgg-submission", "VGG (ILSVRC submission, 7 nets)", 24.7, 7.5, 7.3, _SUBMISSION, _SUBMISSION_NOTE
    ),
    TableRow(7, "googlenet-1", "GoogLeNet (1 net)", None, 7.9, 7.9, note=_SPANNING),
    TableRow(7, "googlenet-7", "GoogLeNet (7 nets)", None, 6.7, 6.7, note=_SPANNING),
    TableRow(7, "msra-11", "MSRA (11 nets)", None, None, 8.1),
    TableRow(7, "msra-1", "MSRA (1 net)", 27.9, 9.1, 9.1),
    TableRow(7, "clarifai-many", "Clarifai (multiple nets)", None, None, 11.7),
    TableRow(7, "clarifai-1", "Clarifai (1 net)", None, None, 12.5),
    TableRow(7, "zeiler-fergus-6", "Zeiler & Fergus (6 nets)", 36.0, 14.7, 14.8),
    TableRow(7, "zeiler-fergus-1", "Zeiler & Fergus (1 net)", 37.5, 16.0, 16.1),
    TableRow(7, "overfeat-7", "OverFeat (7 nets)", 34.0, 13.2, 13.6),
    TableRow(7, "overfeat-1", "OverFeat (1 net)", 35.7, 14.2, None),
    TableRow(7, "krizhevsky-5", "Krizhevsky et al. (5 nets)", 38.1, 16.4, 16.4),
    TableRow(7, "krizhevsky-1", "Krizhevsky et al. (1 net)", 40.7, 18.2, None),
)

ROWS: tuple[TableRow, ...] = _TABLE_3 + _TABLE_4 + _TABLE_5 + _TABLE_6 + _TABLE_7


def table(number: int) -> tuple[TableRow, ...]:
    """The rows of one table, in the paper's order; empty for a number that is not 3 to 7."""
    return tuple(row for row in ROWS if row.table == number)
