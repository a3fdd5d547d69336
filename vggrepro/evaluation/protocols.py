"""The paper's test protocols (section 3.2) as weighted sums of view streams.

A :class:`Stream` is what one network answers for one kind of view at one scale, either flipped or not. An
image has one posterior for each view of a stream. A protocol is a weighted mean over streams of the mean over
their views: several scales, flips, "both" and ensembles are all such means, so that posteriors that have been
measured once give every combination.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Doubles, Singles
from vggrepro.errors import ProtocolError

PROTOCOLS = ("centre", "tencrop", "dense", "multicrop", "both")

BEFORE, AFTER = "before-softmax", "after-softmax"
AVERAGES = (BEFORE, AFTER)
"""Whether the class score map is averaged over positions before or after the softmax. The paper's words allow
both; the default is the order in which it tells them: score map, average, posterior."""

VIEWS_PER_IMAGE = {"centre": 1, "five": 5, "grid": 25, "dense": 1}
"""Kinds of views, and how many of each an image has: the centre crop, the four corner crops and the centre
crop, a 5x5 grid of crops, and the whole image."""

_KINDS: Mapping[str, tuple[str, ...]] = {
    "centre": ("centre",),
    "tencrop": ("five",),
    "dense": ("dense",),
    "multicrop": ("grid",),
    "both": ("grid", "dense"),
}


ReadingChanges = tuple[tuple[str, str], ...]
"""Names and values of an image reading's fields (exif, kernel, centre) that differ from the run's own."""

_CENTRED = ("centre", "five")
"""Kinds of views that the rule for the centre crop of an odd margin concerns."""


@dataclass(frozen=True, order=True)
class Stream:
    """What one network answers for one kind of view. ``net`` is the network's name, ``view_kind`` a key of
    VIEWS_PER_IMAGE, ``scale`` the images' smallest side Q in pixels. ``flip`` says whether all views are
    mirrored. ``average`` differs from its default only for "dense", whose score maps have several
    positions. ``changes`` are what is read otherwise than the rest of the run."""

    net: str
    view_kind: str
    scale: int
    flip: bool
    average: str = BEFORE
    changes: ReadingChanges = ()

    @property
    def view_count(self) -> int:
        """Views, and so posteriors, per image."""
        return VIEWS_PER_IMAGE[self.view_kind]

    def __str__(self) -> str:
        words = [self.net, self.view_kind, f"Q{self.scale}", "flip" if self.flip else "noflip"]
        return " ".join([*words, *_unusual(self.average, self.changes)])


@dataclass(frozen=True)
class Member:
    """One network under one protocol. ``net`` is its name. ``scales`` are smallest sides Q in pixels; the
    mean over them is taken. ``changes`` are what is read otherwise than the rest of the run.

    Raises ProtocolError for an unknown protocol or average, no or repeated scales, and for ten-crop
    without its mirrors.
    """

    net: str
    protocol: str
    scales: tuple[int, ...]
    flip: bool
    average: str = BEFORE
    changes: ReadingChanges = ()

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ProtocolError(f"protocol {self.protocol!r}: expected one of {', '.join(PROTOCOLS)}")
        if self.average not in AVERAGES:
            raise ProtocolError(f"average {self.average!r}: expected one of {', '.join(AVERAGES)}")
        if not self.scales or len(set(self.scales)) != len(self.scales) or min(self.scales) < 1:
            raise ProtocolError(f"scales {self.scales}: expected one or more different sizes in pixels")
        if self.protocol == "tencrop" and not self.flip:
            raise ProtocolError(
                "protocol tencrop is five crops and their mirrors: it cannot go without flips"
            )

    def __str__(self) -> str:
        scales = ",".join(map(str, self.scales))
        flips = "with flips" if self.flip else "no flips"
        words = [self.net, self.protocol, f"Q={scales}", flips]
        return " ".join([*words, *_unusual(self.average, self.changes)])

    @property
    def view_count(self) -> int:
        """Views per image, over kinds, scales and flips: 150 for multi-crop at three scales with flips."""
        return sum(stream.view_count for stream in stream_shares([self]))


def _unusual(average: str, changes: ReadingChanges) -> list[str]:
    """The words for an average that is not the default, and for what is read otherwise."""
    return [*([] if average == BEFORE else [average]), *(f"{name}={value}" for name, value in changes)]


def stream_shares(members: Sequence[Member]) -> dict[Stream, float]:
    """Each stream's weight in the mean posterior of the members; the weights sum to 1. Members count alike
    (section 4.5), and so do scales, flips, and the two protocols of "both" (section 4.4)."""
    shares: dict[Stream, float] = {}
    for member in members:
        streams = list(_streams(member))
        for stream in streams:
            shares[stream] = shares.get(stream, 0.0) + 1.0 / (len(members) * len(streams))
    return shares


def _streams(member: Member) -> Iterable[Stream]:
    for kind in _KINDS[member.protocol]:
        average = member.average if kind == "dense" else BEFORE
        changes = tuple(c for c in member.changes if c[0] != "centre" or kind in _CENTRED)
        for scale in member.scales:
            for flip in (False, True) if member.flip else (False,):
                yield Stream(member.net, kind, scale, flip, average, changes)


def parts(members: Sequence[Member]) -> list[tuple[Member, ...]]:
    """The combinations to compare the mean of ``members`` with, all from the same streams: each member alone,
    each protocol of a member whose protocol is "both", and each scale of all of these. The combination of all
    ``members`` itself is not among them."""
    found: dict[tuple[Member, ...], None] = {}
    for member in members:
        protocols = ("multicrop", "dense") if member.protocol == "both" else ()
        for one in [member, *(replace(member, protocol=p) for p in protocols)]:
            found[(one,)] = None
            for scale in one.scales:
                found[(replace(one, scales=(scale,)),)] = None
    found.pop(tuple(members), None)
    return list(found)


def log_softmax(scores: npt.NDArray[Any]) -> Doubles:
    """Logarithm of Caffe's softmax over axis 1, float64."""
    shifted = scores.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def log_posteriors(scores: Singles, average: str) -> Singles:
    """Logarithms of posteriors (N, K) from score maps (N, K, h, w), or from scores (N, K) of plain crops.

    ``average`` BEFORE takes the spatial mean of the scores and then the softmax; AFTER takes the softmax at
    every position and then the mean. Logarithms are kept because posteriors of confident views lie within
    1e-8 of 1: float32 cannot tell them apart, but their means over views depend on the difference.
    """
    if scores.ndim == 2:
        found = log_softmax(scores)
    elif average == AFTER:
        found = log_mean(log_softmax(scores).reshape(*scores.shape[:2], -1), axis=2)  # (N, K, h, w) -> (N, K)
    else:
        found = log_softmax(scores.mean(axis=(2, 3), dtype=np.float64))  # (N, K, h, w) -> (N, K)
    single: Singles = found.astype(np.float32)
    return single


def log_mean(logarithms: npt.NDArray[Any], axis: int) -> Doubles:
    """Logarithm, float64, of the mean over ``axis`` of the numbers that have these ``logarithms``."""
    exact = logarithms.astype(np.float64)
    largest = exact.max(axis=axis, keepdims=True)
    mean: Doubles = np.exp(exact - largest).mean(axis=axis)
    result: Doubles = np.log(mean) + largest.squeeze(axis)
    return result


_ROUNDING = 1e-5
"""How far a sum of posteriors is from 1 at most, whose logarithms are kept as float32: each adds an error of
p |log p| / 2^24, together the entropy over 2^24 (7e-7 for a million classes)."""


def are_posteriors(rows: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which rows (n,) of numbers (n, ..., K) are posteriors: those whose sums over K are all 1."""
    sums = rows.sum(axis=-1, dtype=np.float64).reshape(len(rows), -1)
    whole: npt.NDArray[np.bool_] = (np.abs(sums - 1) <= _ROUNDING).all(axis=1)
    return whole


def are_log_posteriors(rows: Singles) -> npt.NDArray[np.bool_]:
    """As :func:`are_posteriors`, of logarithms."""
    with np.errstate(over="ignore", invalid="ignore"):
        return are_posteriors(np.exp(rows))


def view_means(logarithms: Singles) -> Doubles:
    """Posteriors (N, K): the mean over views of those whose ``logarithms`` are (N, V, K)."""
    means: Doubles = np.exp(logarithms.astype(np.float64)).mean(axis=1)
    return means


def fuse(means: Mapping[Stream, Doubles], shares: Mapping[Stream, float]) -> Doubles:
    """Posteriors (N, K): the sum over streams of each one's share times its ``means`` (N, K). Streams are
    added in sorted order, so that the same streams always give the same bits. Raises ProtocolError without a
    stream."""
    total: Doubles | None = None
    for stream in sorted(shares):
        part = shares[stream] * means[stream]
        total = part if total is None else total + part
    if total is None:
        raise ProtocolError("no streams to average: expected at least one network and scale")
    return total
