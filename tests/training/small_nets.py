"""The paper's nets in small: every layer is there, with an eighth of the channels, for crops of 32 pixels."""

from __future__ import annotations

import shutil
from pathlib import Path

from vggrepro.caffe.text import format_message, read_net
from vggrepro.paper.nets import CONFIGS, PROTOTXT

CROP, CHANNELS_BY, CLASSES = 32, 8, 10
PAPER_CROP = 224


def write_small_nets(folder: Path) -> Path:
    """``folder/CONFIG/train_val.prototxt`` and the solvers of all configurations, for ``--prototxt-dir``."""
    for config in CONFIGS:
        (folder / config).mkdir(parents=True)
        shutil.copy(PROTOTXT / config / "solver.prototxt", folder / config)
        net = read_net(PROTOTXT / config / "train_val.prototxt")
        for layer in net.layer:
            for part in ("convolution_param", "inner_product_param"):
                if layer.HasField(part):
                    getattr(layer, part).num_output //= CHANNELS_BY
            if layer.HasField("transform_param"):
                layer.transform_param.crop_size = CROP
            if layer.name == "fc8":
                layer.inner_product_param.num_output = CLASSES
        (folder / config / "train_val.prototxt").write_text(format_message(net))
    return folder


def small_side(side: int) -> int:
    """A side S of the paper's images, for the small crops."""
    return round(side * CROP / PAPER_CROP)
