"""The paper's test protocols (section 3.2) as weighted sums of view streams.

A :class:`Stream` is what one network answers for one kind of view at one scale, flipped or not. The views of
an image and stream have one posterior each; a protocol is a weighted mean over streams of the mean over
views. Several scales, flips, "both" and ensembles are all such sums, so that posteriors measured once give
every combination.
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
"""Where the class score map is averaged over positions. The paper's words allow both; its order of telling
(score map, average, posterior) is the default."""

VIEWS = {"centre": 1, "five": 5, "grid": 25, "dense": 1}
"""Views per image: centre crop, corner and centre crops, 5x5 grid, and the whole image."""

_PARTS: Mapping[str, tuple[str, ...]] = {
    "centre": ("centre",),
    "tencrop": ("five",),
    "dense": ("dense",),
    "multicrop": ("grid",),
    "both": ("grid", "dense"),
}


@dataclass(frozen=True, order=True)
class Stream:
    """Posteriors of one ``net`` (a name), one kind of ``views`` (a key of VIEWS), one ``scale`` (smallest
    side Q in pixels). ``average`` only differs from its default where score maps have several positions."""

    net: str
    views: str
    scale: int
    flip: bool
    average: str = BEFORE

    @property
    def count(self) -> int:
        """Views, and so posteriors, per image."""
        return VIEWS[self.views]

    def __str__(self) -> str:
        words = [self.net, self.views, f"Q{self.scale}", "flip" if self.flip else "noflip"]
        return " ".join(words if self.average == BEFORE else [*words, self.average])


@dataclass(frozen=True)
class Member:
    """One network under one protocol. ``scales`` are smallest sides Q in pixels; the mean over them is taken.

    Raises ProtocolError for an unknown protocol or average, no or repeated scales, and for ten-crop
    without its mirrors.
    """

    net: str
    protocol: str
    scales: tuple[int, ...]
    flip: bool
    average: str = BEFORE

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
        words = f"{self.net} {self.protocol} Q={scales} {flips}"
        return words if self.average == BEFORE else f"{words} {self.average}"

    @property
    def views(self) -> int:
        """Views per image, over kinds, scales and flips: 150 for multi-crop at three scales."""
        return sum(stream.count for stream in weights([self]))


Weights = dict[Stream, float]


def weights(members: Sequence[Member]) -> Weights:
    """Each stream's share of the posterior; the shares sum to 1. Members count alike (section 4.5), and so
    do scales, flips, and the two parts of "both" (section 4.4)."""
    shares: Weights = {}
    for member in members:
        streams = list(_streams(member))
        for stream in streams:
            shares[stream] = shares.get(stream, 0.0) + 1.0 / (len(members) * len(streams))
    return shares


def _streams(member: Member) -> Iterable[Stream]:
    for views in _PARTS[member.protocol]:
        average = member.average if views == "dense" else BEFORE
        for scale in member.scales:
            for flip in (False, True) if member.flip else (False,):
                yield Stream(member.net, views, scale, flip, average)


def parts(members: Sequence[Member]) -> list[tuple[Member, ...]]:
    """The combinations that a result is worth comparing with, all from the same streams: every member alone,
    each of its protocols alone ("both"), each of its scales alone. The whole itself is not among them."""
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
    every position and then the mean. The logarithm is what float32 can keep: sure views have posteriors
    within 1e-8 of 1, and which of two is surer decides between their classes when they are averaged.
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
    """Logarithm of the mean over one axis of what has these logarithms, float64."""
    exact = logarithms.astype(np.float64)
    largest = exact.max(axis=axis, keepdims=True)
    mean: Doubles = np.exp(exact - largest).mean(axis=axis)
    result: Doubles = np.log(mean) + largest.squeeze(axis)
    return result


def view_means(logarithms: Singles) -> Doubles:
    """Posteriors (N, K), the mean over the views' (N, V, K) log posteriors."""
    means: Doubles = np.exp(logarithms.astype(np.float64)).mean(axis=1)
    return means


def fuse(means: Mapping[Stream, Doubles], shares: Mapping[Stream, float]) -> Doubles:
    """Posteriors (N, K) of the weighted streams, from each stream's (N, K)."""
    total: Doubles | None = None
    for stream in sorted(shares):  # a fixed order, so that the same result has the same bits
        part = shares[stream] * means[stream]
        total = part if total is None else total + part
    if total is None:
        raise ProtocolError("no streams to average: expected at least one network and scale")
    return total
