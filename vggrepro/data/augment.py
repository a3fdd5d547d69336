"""The paper's preprocessing at training time (section 3.1).

An image is rescaled isotropically to a smaller side S, fixed or drawn anew each time; one crop is
taken at random, flipped with probability one half; one random shift of its colour is added, and the
mean subtracted. Crop and flip yield uint8; shift and mean are the same for every pixel of a crop, so
they are kept as one 3-vector, which the training graph adds. What the paper leaves open is an option
here, with the default first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.data.choices import Kernel
from vggrepro.data.decode import Pixels
from vggrepro.data.opencv import opencv
from vggrepro.data.preprocess import Offset, rescaled_crop
from vggrepro.errors import DataError

Vector = npt.NDArray[np.float32]

Reading = Literal["root", "unit-eigenvalue", "byte-eigenvalue"]
"""How large the colour shift is. Krizhevsky's formula adds p_i * a_i * l_i, with l_i the eigenvalues
of the covariance of RGB values, and does not say in which units the values are. The figures are standard
deviations of the shift in R, G, B, in grey levels of 255, with ILSVRC's statistics and a_i of 0.1.

``root``: the square roots of the eigenvalues, which are the standard deviations along the axes and the same
in all units (7.2, 7.1, 7.4). That is what Krizhevsky's own later code, cuda-convnet2, and MatConvNet, of the
authors' group, compute. ``unit-eigenvalue``: the formula, on values in [0, 1] (3.2, 3.2, 3.3), as in
fb.resnet.torch. ``byte-eigenvalue``: the formula, on values in [0, 255] (807, 822, 830: not meant, but what
the words may say).
"""

Offsets = Literal["all", "caffe2013"]
"""Which crop offsets are drawn: every one (0 to the margin), or as the Caffe of December 2013 drew
them, ``rand() % margin``, which never takes the last one."""


@dataclass(frozen=True)
class ColourPCA:
    """Principal components of RGB pixels in [0, 1]: variances, and unit vectors as rows R, G, B by
    column (``vectors[c][i]`` is channel c of component i)."""

    eigenvalues: tuple[float, float, float]
    vectors: tuple[tuple[float, float, float], ...]

    def shift_bgr(self, amounts: npt.NDArray[np.float64], reading: Reading) -> npt.NDArray[np.float64]:
        """The shift (3,) in B, G, R, grey levels of 255, for ``amounts`` a_1, a_2, a_3."""
        shift: npt.NDArray[np.float64] = _axes_bgr(self, reading) @ amounts
        return shift


@cache
def _axes_bgr(colour: ColourPCA, reading: Reading) -> npt.NDArray[np.float64]:
    """(3, 3): column i is the shift in B, G, R, grey levels, for a_i = 1."""
    values = np.array(colour.eigenvalues)
    lengths = {
        "unit-eigenvalue": values * 255,
        "root": np.sqrt(values) * 255,
        "byte-eigenvalue": values * 255 * 255,
    }[reading]
    axes: npt.NDArray[np.float64] = (np.array(colour.vectors) * lengths)[::-1]
    return axes


ILSVRC_PCA = ColourPCA(
    eigenvalues=(0.2175, 0.0188, 0.0045),
    vectors=((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203)),
)
"""Of the ILSVRC-2012 training set, as published in fb.resnet.torch (datasets/imagenet.lua)."""

ILSVRC_MEAN_BGR = (103.939, 116.779, 123.68)
"""The mean pixel of the ILSVRC-2012 training set, as published with the VGG models."""


class AugmentationDraw(NamedTuple):
    """What is drawn for one training example."""

    smallest: int
    """S, in pixels."""
    top: float
    """Where the crop begins, as a fraction from [0, 1) of all places that it may have."""
    left: float
    flipped: bool
    shift: Vector
    """What to add to every pixel, float32 (3,) in B, G, R: colour shift minus mean."""


@dataclass(frozen=True)
class Augmentation:
    """Section 3.1 for one training run. Raises DataError for sizes that do not fit each other."""

    smallest: tuple[int, int] = (256, 256)
    """S is drawn uniformly from these two and all between; equal for a fixed S."""
    crop: int = 224
    mean_bgr: tuple[float, float, float] = ILSVRC_MEAN_BGR
    flip: bool = True
    colour: ColourPCA | None = field(default=ILSVRC_PCA)
    """None leaves the colours alone."""
    colour_std: float = 0.1
    reading: Reading = "root"
    offsets: Offsets = "all"
    kernel: Kernel = "linear"

    def __post_init__(self) -> None:
        least, most = self.smallest
        if not 0 < self.crop <= least <= most:
            raise DataError(
                f"a crop of {self.crop} from images with a smaller side of {least} to {most}:"
                " expected 0 < crop <= least <= most"
            )
        if self.offsets == "caffe2013" and self.crop == least:
            raise DataError(f"offsets caffe2013 draw below the margin, which is 0 at S = crop = {self.crop}")

    def __call__(
        self, pixels: Pixels, rng: np.random.Generator, out: Pixels | None = None
    ) -> tuple[Pixels, Vector]:
        """One training example of a decoded image: the crop that :meth:`cropped` makes of what :meth:`draw`
        gives, and the shift."""
        drawn = self.draw(rng)
        return self.cropped(pixels, drawn, out), drawn.shift

    def draw(self, rng: np.random.Generator) -> AugmentationDraw:
        """Draw S, top, left, flip, a_1 to a_3, in this order and whatever is switched off."""
        size, top, left, coin = rng.random(4).tolist()
        shift = self.shift(rng.normal(0.0, self.colour_std, 3))
        return AugmentationDraw(self.drawn_smallest(size), top, left, self.flip and coin < 0.5, shift)

    def cropped(self, pixels: Pixels, drawn: AugmentationDraw, out: Pixels | None = None) -> Pixels:
        """The crop, uint8 (crop, crop, 3), of a decoded image, uint8 (H, W, 3) in B, G, R; it is written to
        ``out`` if given."""

        def offset(height: int, width: int) -> Offset:
            return self._offset(height, drawn.top), self._offset(width, drawn.left)

        window = rescaled_crop(pixels, drawn.smallest, self.crop, offset, self.kernel)
        crop = np.empty(window.shape, np.uint8) if out is None else out
        # OpenCV writes a flipped picture byte by byte: three times as fast to memory that a cache holds.
        np.copyto(crop, opencv().flip(window, 1) if drawn.flipped else window)
        return crop

    def shift(self, amounts: npt.NDArray[np.float64]) -> Vector:
        """Colour shift minus mean, float32 (3,) in B, G, R."""
        shift = np.zeros(3) if self.colour is None else self.colour.shift_bgr(amounts, self.reading)
        return (shift - self.mean_bgr).astype(np.float32)

    def drawn_smallest(self, fraction: float) -> int:
        """S for a fraction drawn uniformly from [0, 1)."""
        least, most = self.smallest
        return least + int(fraction * (most - least + 1))

    def _offset(self, side: int, fraction: float) -> int:
        margin = side - self.crop
        return int(fraction * (margin + 1 if self.offsets == "all" else margin))
