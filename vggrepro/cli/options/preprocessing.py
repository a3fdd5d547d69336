"""What is done to images before a net sees them: noted in a model's metadata, or part of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from vggrepro.cli.options.mean import (
    MeanAs,
    MeanOption,
    add_channel_order_option,
    add_mean_as_option,
    add_mean_option,
    add_scale_option,
    hint_at_order,
    pixel_alone,
)
from vggrepro.cli.options.read import Options
from vggrepro.cli.options.refuse import refuse_without
from vggrepro.data.choices import ChannelOrder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vggrepro.graph.embedded_preprocessing import Layout, Preprocessing


@dataclass(frozen=True)
class PreprocessingOptions:
    """Mean, scale and channels, and whether the model is to contain them."""

    mean: MeanOption | None = None
    mean_as: MeanAs = "image"
    channel_order: ChannelOrder = "bgr"
    scale: float = 1.0
    embed_preprocessing: bool = False
    image_layout: Layout = "nhwc"
    image_order: ChannelOrder = "bgr"

    def embedded(self) -> Preprocessing | None:
        """The preprocessing that the model shall contain, None without ``--embed-preprocessing``. Raises
        OptionError for options that need it, and what ``read_mean_image`` raises."""
        hint_at_order(self.mean)
        if not self.embed_preprocessing:
            refuse_without("--embed-preprocessing", self, "mean_as", "image_layout", "image_order")
            pixel_alone(self.mean)
            return None
        from vggrepro.data.mean_image import read_mean_image
        from vggrepro.graph.embedded_preprocessing import Preprocessing

        values: Sequence[float] | npt.NDArray[np.float32] | None
        if isinstance(self.mean, Path):
            image = read_mean_image(self.mean, self.channel_order)
            values = image.pixels if self.mean_as == "image" else image.over_pixels
        else:
            values = self.mean
        return Preprocessing(values, self.scale, self.channel_order, self.image_order, self.image_layout)

    def noted(self) -> dict[str, str]:
        """What the metadata of a model without preprocessing says that it needs."""
        if self.embed_preprocessing:
            return {}
        entries = {"channel_order": self.channel_order.upper()}
        if isinstance(self.mean, tuple):
            entries["mean_pixel"] = ",".join(map(str, self.mean))
        if self.scale != 1:
            entries["pixel_scale"] = f"{self.scale:g}"
        return entries


def add_preprocessing_options(options: Options) -> None:
    """Add the options of :class:`PreprocessingOptions`."""
    add_mean_option(options, "none; it is kept in the model's metadata")
    add_mean_as_option(options)
    add_channel_order_option(options)
    add_scale_option(options)
    options.add_argument(
        "--embed-preprocessing",
        action="store_true",
        help="make mean, scale and channel order part of the model: it takes decoded images, uint8",
    )
    options.add_argument(
        "--image-layout",
        choices=["nhwc", "nchw"],
        default=PreprocessingOptions.image_layout,
        help="with --embed-preprocessing: where the images' channels are (default: nhwc, as decoders give)",
    )
    options.add_argument(
        "--image-order",
        choices=get_args(ChannelOrder),
        default=PreprocessingOptions.image_order,
        help="with --embed-preprocessing: the order of the images' channels (default: bgr, OpenCV's)",
    )
