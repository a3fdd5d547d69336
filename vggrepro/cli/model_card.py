"""The card of a converted model: what it is, where it comes from, how it is fed; Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from vggrepro.emit import declared_dims, declared_dtype
from vggrepro.graph.metadata import digests
from vggrepro.graph.model import Graph
from vggrepro.paper.known_models import KnownModel
from vggrepro.system.atomic import replacing
from vggrepro.system.file_digest import file_sha256
from vggrepro.system.terminal import printable

SHOWN = ("target", "library_versions", "vggrepro_version", "caffe_phase")
"""Entries of the metadata that are told under their own names."""

FED = ("embedded_preprocessing", "preprocessing_left", "channel_order", "mean_pixel", "pixel_scale")
"""Those that say what a user does to images."""


def write_card(
    path: Path, files: Sequence[Path], graph: Graph, measured: str, known: Sequence[KnownModel]
) -> None:
    """Write the card of a model whose ``files`` were just written. Raises OSError."""
    with replacing(path) as file:
        file.write("\n".join([*_lines(files, graph, measured, known), ""]).encode())


def _lines(files: Sequence[Path], graph: Graph, measured: str, known: Sequence[KnownModel]) -> Iterator[str]:
    said = {entry.key: entry.value for entry in graph.skeleton.metadata_props}
    yield f"# {_cell(graph.skeleton.graph.name)}"
    yield ""
    yield f"Converted from Caffe by vggrepro {said['vggrepro_version']}."
    if "command" in said:
        yield from _section("Command", ["```", said["command"], "```"])
    yield from _section("Files", _table(["file", "SHA-256"], _digests(files, graph)))
    yield from _section("Inputs and outputs", _table(["name", "type", "shape"], _tensors(graph)))
    fed = [f"- {key.replace('_', ' ')}: {_cell(said[key])}" for key in FED if key in said]
    yield from _section("Images", [*fed, *_published_preprocessing(known)])
    if "class_names" in said:
        names = json.loads(said["class_names"])
        shown = [f"{number}. {_cell(name)}" for number, name in enumerate(names)]
        yield from _section(f"The {len(names)} classes", shown)
    if measured:
        yield from _section("Measured", [_cell(measured), "", "Largest difference from a float64 reference,"])
        yield "in units of the largest value of a blob."
    for entry in known:
        yield from _section("Published model", _published(entry))
    yield from _section(
        "Made with", [f"- {key.replace('_', ' ')}: {said[key]}" for key in SHOWN if key in said]
    )


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    content = list(lines)
    if content:
        yield from ["", f"## {title}", "", *content]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(map(_cell, row)) + " |"


def _digests(files: Sequence[Path], graph: Graph) -> Iterator[tuple[str, str]]:
    yield from ((path.name, file_sha256(path)) for path in files)
    found = digests(graph.sources)
    for kind, name in graph.sources.items():
        if f"{kind}_sha256" in found:
            yield Path(name).name, found[f"{kind}_sha256"]


def _tensors(graph: Graph) -> Iterator[tuple[str, str, str]]:
    content = graph.skeleton.graph
    for info in (*content.input, *content.output):
        dims = declared_dims(info) or ()
        named = [d.dim_param for d in info.type.tensor_type.shape.dim]
        sizes = [name or "?" if size is None else str(size) for size, name in zip(dims, named, strict=False)]
        yield info.name, str(declared_dtype(info)), " x ".join(sizes)


def _published_preprocessing(known: Sequence[KnownModel]) -> list[str]:
    return [f"- as published: {_cell(entry.preprocessing)}" for entry in known if entry.preprocessing]


def _published(entry: KnownModel) -> Iterator[str]:
    facts: Mapping[str, str] = {
        "name": entry.name,
        "licence": entry.licence or "not known",
        "class order": entry.classes,
    }
    yield from (f"- {key}: {_cell(value)}" for key, value in facts.items() if value)
    if entry.errors:
        yield ""
        yield from _table(
            ["top-1 error, %", "top-5 error, %", "other", "protocol", "source"],
            ((e.top1 or "-", e.top5 or "-", e.other or "-", e.protocol, e.source) for e in entry.errors),
        )


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")
