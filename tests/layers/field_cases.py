"""Maps for the losses and accuracies of MS-CNN and Cascade R-CNN, and their rules place by place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def maps(
    seed: int, images: int, fields: int, classes: int, size: tuple[int, int], stride: int = 8
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (N, K, C, H, W), codes (N, K, 4, H, W) and right boxes (N, K, 6, H, W): labels, most of them 0,
    centres, sides and overlaps."""
    rng = np.random.default_rng(seed)
    shape = (images, fields, *size)
    scores = rng.permutation(np.linspace(-2, 2, int(np.prod(shape)) * classes)).reshape(*shape, classes)
    coded = rng.uniform(-1.3, 1.3, (*shape, 4))
    label = rng.integers(1, classes, shape) * (rng.random(shape) < 0.2)
    row, column = np.indices(size)
    centre = np.stack([column, row], -1) * stride + rng.uniform(-6, 6 + stride, (*shape, 2))
    sides = rng.uniform(1, 40, (*shape, 2))
    overlap = rng.uniform(0, 1, shape)
    right = np.concatenate([label[..., None], centre, sides, overlap[..., None]], axis=-1)
    parts = [np.ascontiguousarray(np.moveaxis(x, -1, 2), np.float32) for x in (scores, coded, right)]
    return parts[0], parts[1], parts[2]


@dataclass
class Rule:
    """The numbers of a layer's parameters."""

    fields: tuple[tuple[int, int], ...]
    stride: int = 8
    xyr: float | None = 2
    whr: float = 2
    mean: tuple[float, ...] = (0, 0, 0, 0)
    std: tuple[float, ...] = (1, 1, 1, 1)
    balance: float = 1
    smooth: bool = True
    binary: bool = False


def loss(
    rule: Rule,
    scores: np.ndarray,
    coded: np.ndarray,
    right: np.ndarray,
    kept: np.ndarray,
    weights: np.ndarray,
) -> list[float]:
    """The two numbers of the top, place by place in float64; ``kept`` and ``weights`` are (N, K, H, W)."""
    sums, counts = [0.0, 0.0], [0, 0]
    images, fields, _, height, width = scores.shape
    for n, k, y, x in np.ndindex(images, fields, height, width):
        if not kept[n, k, y, x]:
            continue
        label = int(right[n, k, 0, y, x])
        powers = np.exp(scores[n, k, :, y, x].astype(float))
        own = min(label, 1) if rule.binary else label
        sums[0] -= weights[n, k, y, x] * np.log(powers[own] / powers.sum())
        counts[0] += 1
        if label == 0:
            continue
        wide, tall = rule.fields[k]
        gx, gy, gw, gh = right[n, k, 1:5, y, x].astype(float)
        wanted = [
            (gx - (x + 0.5) * rule.stride) / wide,
            (gy - (y + 0.5) * rule.stride) / tall,
            np.log(max(gw, 2) / wide),
            np.log(max(gh, 2) / tall),
        ]
        for i in range(4):
            code = float(coded[n, k, i, y, x])
            if rule.xyr is not None:
                edge, pair = (1 / rule.xyr, (0, 1)) if i < 2 else (np.log(rule.whr), (2, 3))
                middle = (rule.mean[pair[0]] + rule.mean[pair[1]]) / 2
                spread = np.sqrt(rule.std[pair[0]] * rule.std[pair[1]])
                code = min(max(code, (-edge - middle) / spread), (edge - middle) / spread)
            d = abs(code - (wanted[i] - rule.mean[i]) / rule.std[i])
            sums[1] += d - 0.5 if rule.smooth and d >= 1 else d * d / 2
        counts[1] += 4
    boxes = rule.balance * sums[1] / max(counts[1], 1)
    return [sums[0] / max(counts[0], 1) + boxes, boxes]


def weighted(kept: np.ndarray, label: np.ndarray, weights: np.ndarray, multiple: int) -> np.ndarray:
    """``pos_neg_weighted``."""
    scaled, total = weights.copy(), kept.sum()
    for flags, part in (
        (kept & (label != 0), 1 / (1 + multiple)),
        (kept & (label == 0), multiple / (1 + multiple)),
    ):
        if weights[flags].sum():
            scaled[flags] = weights[flags] * part * total / weights[flags].sum()
    return scaled


def accuracies(
    rule: Rule,
    scores: np.ndarray,
    coded: np.ndarray,
    right: np.ndarray,
    threshold: float,
    top_k: int,
    last_first: bool,
    least: float,
) -> tuple[list[float], float]:
    """The shares and the average overlap, place by place."""
    hits: list[bool] = []
    objects: list[bool] = []
    overlaps: list[float] = []
    images, fields, classes, height, width = scores.shape
    for n, k, y, x in np.ndindex(images, fields, height, width):
        label = int(right[n, k, 0, y, x])
        own = min(label, 1) if rule.binary else label
        order = sorted(
            range(classes),
            key=lambda c: (-scores[n, k, c, y, x], -c if last_first else c),
        )
        if label or right[n, k, 5, y, x] < np.float32(threshold):
            hits.append(own in order[:top_k])
            if label:
                objects.append(hits[-1])
        if not label:
            continue
        codes = coded[n, k, :, y, x] * np.array(rule.std) + rule.mean
        edges = [1 / (rule.xyr or 1)] * 2 + [np.log(rule.whr)] * 2
        codes = [min(max(code, -edge), edge) for code, edge in zip(codes, edges, strict=True)]
        ends = []
        for axis, (index, side) in enumerate(zip((x, y), rule.fields[k], strict=True)):
            length = side * np.exp(codes[2 + axis])
            begin = codes[axis] * side + (index + 0.5) * rule.stride - length / 2
            centre, other = right[n, k, 1 + axis, y, x], right[n, k, 3 + axis, y, x]
            ends.append((begin, begin + length, centre - other / 2, centre + other / 2))
        shared = [max(min(e[1], e[3]) - max(e[0], e[2]), 0) for e in ends]
        common = 0 if min(shared) < least else shared[0] * shared[1]
        areas = [(ends[0][i + 1] - ends[0][i]) * (ends[1][i + 1] - ends[1][i]) for i in (0, 2)]
        overlaps.append(common / (sum(areas) - common))
    return [np.mean(x) if x else -1.0 for x in (hits, objects)], np.mean(overlaps) if overlaps else -1.0
