"""The choices about images: each is carried out, and to offer them takes no library."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import numpy as np

from vggrepro.data.choices import Centre, ChannelOrder, Kernel, Resize
from vggrepro.data.preprocess import centre_offset, rescale, to_blob

IMAGE = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)


def test_each_choice_gives_something_else() -> None:
    kernels = {rescale(IMAGE, 6, kernel).tobytes() for kernel in get_args(Kernel)}
    sizes = {rescale(IMAGE, 6, resize=resize).shape for resize in get_args(Resize)}
    centres = {centre_offset(9, 12, 4, centre) for centre in get_args(Centre)}
    orders = {to_blob(IMAGE[None], [1, 2, 3], 1.0, order).tobytes() for order in get_args(ChannelOrder)}
    assert (len(kernels), len(sizes), len(centres), len(orders)) == (5, 2, 2, 2)


def test_they_are_imported_without_numpy() -> None:
    code = "import sys, vggrepro.data.choices; sys.exit('numpy' in sys.modules)"
    assert subprocess.call([sys.executable, "-c", code]) == 0
