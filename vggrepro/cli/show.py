"""show: pictures of what the toolkit does: views, training crops, filters, feature maps, nets."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from argparse import SUPPRESS, BooleanOptionalAction
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vggrepro.cli.options.evaluation import (
    NetworkOptions,
    ViewOptions,
    add_input_options,
    add_scales_option,
    add_view_options,
)
from vggrepro.cli.options.fork_options import ForkOptions, add_fork_options
from vggrepro.cli.options.images import (
    add_exif_option,
    add_kernel_option,
    add_max_pixels_option,
    add_seed_option,
)
from vggrepro.cli.options.mean import MeanAs, MeanOption, add_channel_order_option
from vggrepro.cli.options.net import NetOptions, add_net_options
from vggrepro.cli.options.pictures import PictureOptions, add_picture_options, add_zoom_option
from vggrepro.cli.options.read import Options, read
from vggrepro.cli.options.results import add_output_option, check_outputs
from vggrepro.cli.options.training_images import (
    AugmentationOptions,
    Colour,
    add_colour_options,
    add_offsets_option,
    add_smallest_option,
)
from vggrepro.cli.options.values import positive
from vggrepro.cli.run import Parser, run
from vggrepro.data.augment import ILSVRC_MEAN_BGR, ILSVRC_PCA, Offsets
from vggrepro.data.choices import ChannelOrder, Exif, Kernel
from vggrepro.data.decode import ENDS_EARLY
from vggrepro.errors import DataError
from vggrepro.evaluation.measuring.rescaled_image import read_rescaled
from vggrepro.evaluation.protocols import Member
from vggrepro.pictures.augmentation_grid import augmented_crops
from vggrepro.pictures.sheet import grid, write_png
from vggrepro.pictures.view_sheet import view_sheet
from vggrepro.system.atomic import replacing
from vggrepro.system.terminal import printable

SCALES, SMALLEST = (256, 384, 512), (256, 512)
"""The paper's three test scales, and its range of training scales, in pixels."""
_EXAMPLES = {
    "views": "image.jpg -o views.png",
    "augmentation": "image.jpg -o crops.png --smallest 256,512 --seed 1",
    "filters": "deploy.prototxt weights.caffemodel -o filters.png",
    "features": "deploy.prototxt weights.caffemodel image.jpg -o maps.png --blob conv2_1",
    "net": "deploy.prototxt -o net.svg",
}
_CROP = 224
"""The side of the paper's crops in pixels."""


@dataclass(frozen=True)
class _Picture(ABC):
    """What the command lines of all pictures have."""

    output: Path
    traceback: bool

    @abstractmethod
    def show(self) -> str:
        """Write the picture, and say what is on it."""


@dataclass(frozen=True)
class ViewsOptions(_Picture):
    """``show views``."""

    image: Path
    scales: tuple[int, ...] | None
    crop: int
    pictures: PictureOptions

    def show(self) -> str:
        from vggrepro.evaluation.image_posteriors import image_files

        scales = self.scales or SCALES
        image = read_rescaled(image_files([self.image]), 0, scales, self.pictures.reading)
        if image.truncated:
            warnings.warn(f"{self.image}: {ENDS_EARLY}", stacklevel=1)
        write_png(self.output, view_sheet(image, self.crop).pixels)
        return f"views of {self.crop} pixels at {', '.join(map(str, scales))}"


@dataclass(frozen=True)
class CropsOptions(_Picture):
    """``show augmentation``."""

    image: Path
    count: int
    crop: int
    exif: Exif
    max_pixels: int
    smallest: tuple[int, int] | None
    seed: int = 0
    flip: bool | None = None
    offsets: Offsets = "all"
    kernel: Kernel = "linear"
    colour: Colour = "root"
    colour_std: float = 0.1

    def show(self) -> str:
        from vggrepro.evaluation.image_posteriors import image_files

        given = AugmentationOptions(
            self.smallest or SMALLEST,
            colour=self.colour,
            colour_std=self.colour_std,
            flip=self.flip,
            offsets=self.offsets,
            kernel=self.kernel,
        )
        augmentation = given.of_crops(self.crop, ILSVRC_MEAN_BGR, ILSVRC_PCA)
        decoded = image_files([self.image]).decoded(0, exif=self.exif, max_pixels=self.max_pixels)
        pixels = decoded.warned(str(self.image))
        write_png(self.output, grid(augmented_crops(pixels, augmentation, self.seed, self.count), gap=4))
        return f"{self.count} crops of {self.crop} pixels"


@dataclass(frozen=True)
class FiltersOptions(_Picture):
    """``show filters``."""

    prototxt: str
    weights: str
    zoom: int
    channel_order: ChannelOrder
    forks: ForkOptions

    def show(self) -> str:
        from vggrepro.net import load_by_rules
        from vggrepro.pictures.value_tiles import filter_tiles, first_filters

        name, filters = first_filters(load_by_rules(self.prototxt, self.weights, self.forks.rules()))
        shown = filter_tiles(filters, self.channel_order)
        write_png(self.output, grid(shown.tiles, zoom=self.zoom))
        count, _, height, width = filters.shape
        return f"{name}: {count} filters of {height} x {width}, {shown.least:.6g} to {shown.most:.6g}"


@dataclass(frozen=True)
class FeaturesOptions(_Picture):
    """``show features``."""

    prototxt: str
    weights: str
    image: Path
    blob: str
    zoom: int
    views: ViewOptions
    pictures: PictureOptions
    mean: MeanOption | None
    mean_as: MeanAs
    channel_order: ChannelOrder
    scale: float
    forks: ForkOptions

    def show(self) -> str:
        from vggrepro.evaluation.image_posteriors import image_files
        from vggrepro.evaluation.measuring.evaluated_net import load_network
        from vggrepro.evaluation.measuring.pipeline import ImageSet
        from vggrepro.pictures.feature_sheet import feature_sheet

        named = NetworkOptions((self.weights,), (self.prototxt,), None, self.mean, self.mean_as)
        (files,), mean = replace(named, channel_order=self.channel_order, forks=self.forks).files(
            embedded=False
        )
        network = load_network(files, mean, self.blob)
        reading = replace(self.pictures.reading, channel_order=self.channel_order, scale=self.scale)
        images = ImageSet.whole(image_files([self.image]), reading)
        scales = self.views.scales or (round(network.crop * 8 / 7),)
        member = Member(network.name, self.views.protocol or "dense", scales, self.views.flip or False)
        found = feature_sheet(network, images, member, self.zoom)
        write_png(self.output, found.pixels)
        return f"{self.blob}: {network.channels} maps each of {len(found.places)} view(s)"


@dataclass(frozen=True)
class DrawingOptions(_Picture):
    """``show net``."""

    net: NetOptions

    def show(self) -> str:
        from vggrepro.pictures.net_layout import net_layout
        from vggrepro.pictures.net_svg import net_svg

        layout = net_layout(self.net.load(None, fill=False))
        svg = net_svg(layout, Path(self.net.prototxt).name)
        with replacing(self.output) as file:
            file.write(svg.encode("utf-8", "backslashreplace"))
        return f"{len(layout.boxes)} layers"


PICTURES: Mapping[str, type[_Picture]] = {
    "views": ViewsOptions,
    "augmentation": CropsOptions,
    "filters": FiltersOptions,
    "features": FeaturesOptions,
    "net": DrawingOptions,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error."""
    arguments = parser().parse_args(argv)
    options = read(PICTURES[arguments.picture], arguments)
    return run(lambda: _show(options), traceback=options.traceback)


def _show(options: _Picture) -> int:
    suffix = ".svg" if isinstance(options, DrawingOptions) else ".png"
    if options.output.suffix != suffix:
        raise DataError(f"{options.output}: expected a name that ends in {suffix}")
    check_outputs(options.output, options=options)
    print(printable(f"{options.output}: {options.show()}"))
    return 0


def parser() -> Parser:
    """All options of the command."""
    parser = Parser(
        command="show",
        description="Pictures, each made by the code that does the work itself.",
        examples=[f"{picture} {example}" for picture, example in _EXAMPLES.items()],
        epilog="--help behind the name of a picture tells its options",
    )
    pictures = parser.add_subparsers(dest="picture", metavar="PICTURE", required=True, parser_class=Parser)
    views = pictures.add_parser(
        "views", help="what the test protocols see of an image", examples=(_EXAMPLES["views"],)
    )
    _add_image(views)
    add_scales_option(views, ",".join(map(str, SCALES)))
    _add_crop(views)
    add_picture_options(views)
    crops = pictures.add_parser(
        "augmentation",
        help="random training crops of an image, by seed",
        examples=(_EXAMPLES["augmentation"],),
    )
    _add_crops_options(crops)
    filters = pictures.add_parser(
        "filters", help="the filters of a net's first layer", examples=(_EXAMPLES["filters"],)
    )
    _add_files(filters)
    add_channel_order_option(filters)
    add_zoom_option(filters, 8)
    features = pictures.add_parser(
        "features", help="a blob's feature maps for an image", examples=(_EXAMPLES["features"],)
    )
    _add_features_options(features)
    drawing = pictures.add_parser(
        "net", help="the layers of a net, from top to bottom, as SVG", examples=(_EXAMPLES["net"],)
    )
    drawing.add_argument("prototxt", help="the net: V0, V1 or current format")
    add_net_options(drawing)
    for name, picture in pictures.choices.items():
        add_output_option(picture, f"the picture to write, {'.svg' if name == 'net' else '.png'}")
        (traceback,) = (action for action in picture._actions if action.dest == "traceback")
        traceback.default = SUPPRESS  # it may stand before the picture's name too, and is kept then
    return parser


def _add_features_options(options: Options) -> None:
    _add_files(options)
    _add_image(options)
    options.add_argument("--blob", default="conv1_1", help="the blob to take (default: conv1_1)")
    add_view_options(options, "8/7 of the net's input: 256 for 224", "no")
    add_input_options(options)
    add_picture_options(options)
    add_zoom_option(options, 1)


def _add_crops_options(options: Options) -> None:
    _add_image(options)
    options.add_argument(
        "--count", type=positive, default=24, metavar="N", help="crops to show (default: 24)"
    )
    add_seed_option(options, CropsOptions.seed, "seed of the draws (default: 0)")
    add_smallest_option(options, ",".join(map(str, SMALLEST)))
    _add_crop(options)
    add_colour_options(options)
    options.add_argument(
        "--flip", action=BooleanOptionalAction, help="mirror half of the crops (default: yes)"
    )
    add_offsets_option(options)
    add_kernel_option(options)
    add_exif_option(options)
    add_max_pixels_option(options)


def _add_image(options: Options) -> None:
    options.add_argument("image", type=Path, metavar="IMAGE", help="an image file")


def _add_files(options: Options) -> None:
    options.add_argument("prototxt", help="the net: V0, V1 or current format")
    options.add_argument("weights", help="its .caffemodel or HDF5 weights")
    add_fork_options(options)


def _add_crop(options: Options) -> None:
    options.add_argument(
        "--crop", type=positive, default=_CROP, metavar="PIXELS", help="side of the crops (default: 224)"
    )
