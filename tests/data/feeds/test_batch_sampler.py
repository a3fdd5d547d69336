"""Parts of images that fit boxes."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format

from vggrepro.caffe.messages import AnnotatedDataParameter, TransformationParameter
from vggrepro.data.feeds.batch_sampler import BatchSampler, PartSampling
from vggrepro.data.feeds.boxed_image import BoxedImage
from vggrepro.errors import DataError

BOXES = np.float32([[0.1, 0.2, 0.5, 0.6], [0.55, 0.5, 0.95, 0.9], [0.4, 0.05, 0.5, 0.15]])
WIDE = "sampler { min_scale: 0.3 max_scale: 1 min_aspect_ratio: 0.5 max_aspect_ratio: 2 } max_trials: 2000"


def sampling(text: str) -> PartSampling | None:
    given = text_format.Parse(text, AnnotatedDataParameter())
    return PartSampling.from_param(given, TransformationParameter())


def sampler(text: str) -> BatchSampler:
    made = sampling(f"batch_sampler {{ {text} }}")
    assert made is not None
    return made.samplers[0]


def test_scales_and_aspect_ratios_are_uniform_and_parts_lie_in_the_image() -> None:
    parts = sampler(WIDE).draw(BOXES, np.random.default_rng(0)).astype(float)
    assert parts.shape == (2000, 4) and parts.min() >= 0 and parts.max() <= 1 + 1e-6
    width, height = parts[:, 2] - parts[:, 0], parts[:, 3] - parts[:, 1]
    scale, aspect = np.sqrt(width * height), width / height
    shares = np.histogram(scale, bins=7, range=(0.3, 1))[0] / 2000
    np.testing.assert_allclose(shares, 1 / 7, atol=0.03)
    small = scale < 0.7  # their aspect ratios are free
    assert aspect.min() >= 0.499 and aspect.max() <= 2.001
    np.testing.assert_allclose(np.histogram(aspect[small], 5, (0.5, 2))[0] / small.sum(), 0.2, atol=0.04)
    large = scale > 0.9
    assert (aspect[large] <= 1 / scale[large] ** 2 + 1e-3).all() and (aspect[large] > 0.8).all()
    free = 1 - width > 0.1
    place = parts[free, 0] / (1 - width[free])
    np.testing.assert_allclose(np.histogram(place, 4, (0, 1))[0] / free.sum(), 0.25, atol=0.04)


def measures(part: np.ndarray, box: np.ndarray) -> dict[str, float]:
    """Intersection over the union, the part and the box."""
    across = max(0.0, min(part[2], box[2]) - max(part[0], box[0]))
    common = across * max(0.0, min(part[3], box[3]) - max(part[1], box[1]))
    one, other = ((c[2] - c[0]) * (c[3] - c[1]) for c in (part, box))
    return {"jaccard": common / (one + other - common), "sample": common / one, "object": common / other}


@pytest.mark.parametrize(
    ("constraint", "bounds"),
    [
        ("min_jaccard_overlap: 0.3", {"jaccard": (0.3, 1)}),
        ("max_jaccard_overlap: 0.002", {"jaccard": (0, 0.002)}),
        ("min_sample_coverage: 0.2 max_sample_coverage: 0.4", {"sample": (0.2, 0.4)}),
        ("min_object_coverage: 0.9", {"object": (0.9, 1)}),
        ("min_object_coverage: 0.5 min_jaccard_overlap: 0.2", {"object": (0.5, 1), "jaccard": (0.2, 1)}),
    ],
)
def test_a_part_fits_if_one_box_meets_every_bound(constraint: str, bounds: dict[str, tuple[float, float]]):
    free = sampler(WIDE).draw(BOXES, np.random.default_rng(1))
    bound = sampler(f"{WIDE} sample_constraint {{ {constraint} }}")
    got = bound.draw(BOXES, np.random.default_rng(1))

    def fits(part: np.ndarray, box: np.ndarray) -> bool:
        found = measures(part, box)
        return all(low <= found[name] <= high for name, (low, high) in bounds.items())

    want = [part for part in free if any(fits(part, box) for box in BOXES)]
    assert 0 < len(want) < 2000
    np.testing.assert_array_equal(got, want)
    assert len(bound.draw(np.zeros((0, 4), np.float32), np.random.default_rng(1))) == 0


def test_the_first_parts_that_fit_are_taken() -> None:
    every = sampler(WIDE).draw(BOXES, np.random.default_rng(2))
    few = sampler(f"{WIDE} max_sample: 3").draw(BOXES, np.random.default_rng(2))
    np.testing.assert_array_equal(few, every[:3])
    whole = sampler("max_sample: 1 max_trials: 1").draw(BOXES, np.random.default_rng(2))
    np.testing.assert_array_equal(whole, [[0, 0, 1, 1]])


def test_one_of_all_parts_is_drawn() -> None:
    image = np.arange(100 * 100, dtype=np.uint8).reshape(1, 100, 100)
    rows = np.concatenate([np.zeros((3, 3)), BOXES, np.zeros((3, 1))], axis=1).astype(np.float32)
    seen, rng = BoxedImage(image, rows, False), np.random.default_rng(3)
    sized = [
        f"batch_sampler {{ sampler {{ min_scale: {s} max_scale: {s} }} max_sample: 1 }}" for s in (0.5, 0.2)
    ]
    made = sampling(" ".join(sized))
    assert made is not None
    sizes = [made(seen, rng).image.shape[1] for _ in range(200)]
    halves = sum(size >= 49 for size in sizes)
    assert set(sizes) <= {49, 50, 19, 20} and 70 < halves < 130
    nothing = sampling("batch_sampler { sample_constraint { min_jaccard_overlap: 1.5 } }")
    assert nothing is not None and nothing(seen, rng) is seen


def test_samplers_that_are_not_used() -> None:
    assert sampling("") is None
    assert sampling("batch_sampler { use_original_image: false }") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("min_scale: 0", "0 < min_scale"),
        ("min_scale: 0.5 max_scale: 0.4", "got 0.5 and 0.4"),
        ("max_scale: 1.5", "max_scale <= 1"),
        ("min_aspect_ratio: 2", "got 2 and 1"),
    ],
)
def test_bounds_that_hold_nothing_are_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sampler(f"sampler {{ {text} }}")


def test_a_whole_image_has_no_other_aspect_ratio() -> None:
    flat = sampler("sampler { min_aspect_ratio: 1.5 max_aspect_ratio: 2 }")
    with pytest.raises(DataError, match="no part of scale 1 has an aspect ratio"):
        flat.draw(BOXES, np.random.default_rng(0))
