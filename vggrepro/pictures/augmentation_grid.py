"""Training crops of one image as section 3.1 draws them: scale, place, mirror image, colour shift."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vggrepro.data.augment import Augmentation
from vggrepro.data.decode import Pixels
from vggrepro.data.random_streams import Purpose, stream


def augmented_crops(pixels: Pixels, augmentation: Augmentation, seed: int, count: int) -> Pixels:
    """Crops (count, crop, crop, 3), uint8, of an image (H, W, 3), B, G, R: what a training with this ``seed``
    sees of its first image in its first ``count`` epochs, without the mean's subtraction, rounded and held to
    0-255."""
    seen = replace(augmentation, mean_bgr=(0.0, 0.0, 0.0))
    crops = []
    for epoch in range(count):
        crop, shift = seen(pixels, stream(seed, Purpose.IMAGE, epoch, 0))
        crops.append(np.clip(np.rint(crop + shift), 0, 255).astype(np.uint8))
    return np.stack(crops)
