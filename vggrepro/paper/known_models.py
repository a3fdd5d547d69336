"""Published Caffe models: how their files are recognised, and what was published of them.

``known_models.tsv`` has a row for each file of weights, ``known_errors.tsv`` one for each published
measurement. Both name their sources, as repository:file. Digests are of the files as their authors published
them; empty fields are not known. ``zoo`` is the name that commands know a model by.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Literal

from vggrepro.errors import ProtocolError, did_you_mean
from vggrepro.text_table import aligned

Digest = Callable[[str], str]
"""The digest of a file, in hexadecimal digits, by an algorithm: ``sha1``, ``sha256`` or ``md5``."""

TEN_VIEWS = ("10-crop",)
"""Words of a protocol that averages four corners, the centre and their mirror images."""

OTHER_VIEWS = ("12-crop", "multi-crop", "10 crops", "not stated", "RV-VOC11", "1000 iterations")
"""Words of a protocol that cannot be repeated as it is told."""


@dataclass(frozen=True)
class PublishedErrors:
    """A published measurement: errors in percent, on ILSVRC-2012 validation unless ``protocol`` names another
    set, and what it was measured with. ``mean`` is blue, green, red; ``other`` is what was measured in place
    of top-1 and top-5 errors."""

    zoo: str
    top1: str
    top5: str
    mean: str
    scale: str
    channel_order: str
    resize: str
    protocol: str
    other: str
    source: str


@dataclass(frozen=True)
class KnownModel:
    """A published model: its files, its licence, and how its images are prepared. ``bytes`` is the size of
    the weights, ``prototxt_sha1`` holds the digests of its definitions."""

    zoo: str
    name: str
    kind: str
    weights: str
    bytes: str
    sha1: str
    sha256: str
    md5: str
    prototxt: str
    prototxt_sha1: str
    licence: str
    mean: str
    scale: str
    channel_order: str
    resize: str
    classes: str
    source: str

    @property
    def digests(self) -> Mapping[str, str]:
        """The digests of the weights that are known, by algorithm."""
        known = {"sha256": self.sha256, "sha1": self.sha1, "md5": self.md5}
        return {algorithm: digest for algorithm, digest in known.items() if digest}

    @property
    def errors(self) -> Sequence[PublishedErrors]:
        """What was published of it."""
        return [entry for entry in _errors() if entry.zoo == self.zoo]

    @property
    def preprocessing(self) -> str:
        """How images are prepared, in one line; "" if nothing is known."""
        parts = {
            "": self.resize,
            "mean ": self.mean,
            "scale ": self.scale,
            "channels ": self.channel_order,
        }
        return ", ".join(f"{word}{value}" for word, value in parts.items() if value)


@dataclass(frozen=True)
class ZooProtocol:
    """How a published model was measured, as options of an evaluation: ``mean`` None for a mean image, whose
    file the user has."""

    protocol: str
    scales: tuple[int, ...]
    resize: Literal["keep-aspect", "warp"]
    mean: tuple[float, float, float] | None
    scale: float
    channel_order: Literal["bgr", "rgb"]
    published: PublishedErrors

    @property
    def errors(self) -> tuple[float | None, float | None]:
        """Top-1 and top-5 error in percent, None where nothing was published."""
        top1, top5 = (float(text) if text else None for text in (self.published.top1, self.published.top5))
        return top1, top5


@cache
def known_models() -> Sequence[KnownModel]:
    """All published models, in the order of the table."""
    columns = [field.name for field in fields(KnownModel)]
    return tuple(KnownModel(*(row[column] for column in columns)) for row in _rows("known_models.tsv"))


@cache
def _errors() -> Sequence[PublishedErrors]:
    columns = [field.name for field in fields(PublishedErrors)]
    return tuple(PublishedErrors(*(row[column] for column in columns)) for row in _rows("known_errors.tsv"))


def _rows(name: str) -> list[dict[str, str]]:
    with Path(__file__).with_name(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def model_with_weights(name: str, size: int, digest: Digest) -> KnownModel | None:
    """The model whose weights a file holds, called ``name`` and of ``size`` bytes. Nothing is digested unless
    a model has a file of this size, or one of this name whose size is not known."""
    for model in known_models():
        if model.digests and (model.bytes == str(size) or (not model.bytes and model.weights == name)):
            algorithm, wanted = next(iter(model.digests.items()))
            if digest(algorithm) == wanted:
                return model
    return None


def models_with_prototxt(digest: Digest) -> Sequence[KnownModel]:
    """The models that a definition belongs to: several share one."""
    found = digest("sha1")
    return [model for model in known_models() if found in model.prototxt_sha1.split(";")]


def published_size(name: str) -> int | None:
    """The size in bytes of the published weights of this file name, None if it is not known."""
    sizes = [int(model.bytes) for model in known_models() if model.weights == name and model.bytes]
    return min(sizes, default=None)


def zoo_model(name: str) -> KnownModel:
    """The model that commands know by this name. Raises ProtocolError for a name that is none."""
    for model in known_models():
        if model.zoo == name:
            return model
    hint = did_you_mean(name, [model.zoo for model in known_models()])
    raise ProtocolError(f"no published model {name!r} is known{hint} (--list-zoo lists those that are)")


def zoo_protocol(model: KnownModel) -> ZooProtocol:
    """How a model was measured: by the first of its measurements that tells everything, then of those that
    subtract a mean image. Raises ProtocolError where none does."""
    found = [protocol for entry in model.errors if (protocol := _protocol(entry)) is not None]
    if not found:
        raise ProtocolError(f"{model.zoo}: no measurement of it is known that tells how it was made")
    return min(found, key=lambda one: (one.mean is None, None in one.errors))


def _protocol(entry: PublishedErrors) -> ZooProtocol | None:
    """A measurement as options; None if it cannot be repeated from what was published of it."""
    resize = re.fullmatch(
        r"(?:keep-aspect shorter side (\d+)|warp (\d+)x\2), centre crop \d+|"
        r"keep-aspect smallest side ([\d,]+), dense",
        entry.resize,
    )
    scale = factor(entry.scale)
    if resize is None or scale is None or not (entry.top1 or entry.top5):
        return None
    if any(words in entry.protocol for words in OTHER_VIEWS) or entry.channel_order not in ("BGR", "RGB"):
        return None
    kept, warped, dense = resize.groups()
    views = "tencrop" if any(words in entry.protocol for words in TEN_VIEWS) else "centre"
    if not entry.mean:
        mean: tuple[float, float, float] | None = (0.0, 0.0, 0.0)
    else:
        mean = pixel(entry.mean)
        if mean is None and not entry.mean.startswith("mean image"):
            return None
    return ZooProtocol(
        "dense" if dense else views,
        tuple(int(side) for side in (kept or warped or dense).split(",")),
        "warp" if warped else "keep-aspect",
        mean,
        scale,
        "rgb" if entry.channel_order == "RGB" else "bgr",
        entry,
    )


def factor(text: str) -> float | None:
    """The number of ``0.017`` or ``1/255``; 1 where nothing is said, None for what is no one number."""
    match = re.fullmatch(r"([\d.]+)(?:/([\d.]+))?", text or "1")
    return None if match is None else float(match[1]) / float(match[2] or 1)


def channels(text: str) -> Literal["bgr", "rgb"] | None:
    """The order that ``BGR`` or ``RGB`` says; BGR where nothing is said, None for anything else."""
    return _ORDERS.get(text)


_ORDERS: Mapping[str, Literal["bgr", "rgb"]] = {"": "bgr", "BGR": "bgr", "RGB": "rgb"}


def pixel(text: str) -> tuple[float, float, float] | None:
    """The three numbers of ``104,117,123``; None for anything else."""
    match = re.fullmatch(r"([\d.]+),([\d.]+),([\d.]+)", text)
    return None if match is None else (float(match[1]), float(match[2]), float(match[3]))


def list_zoo() -> str:
    """A line for each model that an evaluation can repeat: name, errors, how it was measured."""
    rows = []
    for model in known_models():
        try:
            one = zoo_protocol(model)
        except ProtocolError:
            continue
        numbers = " / ".join("-" if value is None else f"{value:g}" for value in one.errors)
        rows.append((model.zoo, numbers, one.published.resize, model.name))
    return "\n".join(aligned(rows))
