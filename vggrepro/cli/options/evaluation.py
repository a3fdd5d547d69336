"""How images are looked at, by which networks, and how that is run: options of the evaluation's commands."""

from __future__ import annotations

import warnings
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vggrepro.cli.options.device import add_device_option, add_precision_option, add_threads_option, placed
from vggrepro.cli.options.fork_options import ForkOptions, add_fork_options
from vggrepro.cli.options.images import Decoding, add_decoding_options, add_workers_option
from vggrepro.cli.options.mean import (
    MeanAs,
    MeanOption,
    add_channel_order_option,
    add_mean_as_option,
    add_mean_option,
    add_scale_option,
    hint_at_order,
)
from vggrepro.cli.options.pictures import add_geometry_options
from vggrepro.cli.options.read import Options, given
from vggrepro.cli.options.refuse import refuse_with_demo
from vggrepro.cli.options.values import positive, sizes
from vggrepro.data.augment import ILSVRC_MEAN_BGR
from vggrepro.data.choices import Centre, ChannelOrder, Exif, Kernel, OnBadImage, Resize
from vggrepro.errors import OptionError
from vggrepro.evaluation.protocols import AVERAGES, BEFORE, PROTOCOLS, Member
from vggrepro.paper.nets import PROTOTXT
from vggrepro.system.ranks import Alone, Ranks
from vggrepro.system.threads import default_threads

if TYPE_CHECKING:
    from vggrepro.data.sources import Source
    from vggrepro.emit import Precision
    from vggrepro.evaluation.measuring.evaluated_net import Mean
    from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet
    from vggrepro.evaluation.measuring.rescaled_image import ImageReading
    from vggrepro.evaluation.net_files import NetFiles


@dataclass(frozen=True)
class ViewOptions:
    """The views of an image (section 3.2). None: the command's own choice."""

    protocol: str | None = None
    scales: tuple[int, ...] | None = None
    flip: bool | None = None


@dataclass(frozen=True)
class ProtocolOptions(ViewOptions):
    """The views of an image, and how the scores of a dense one are averaged."""

    average: str = BEFORE

    def member(self, net: str, scales: tuple[int, ...], *, mirrors: bool = True) -> Member:
        """One net under this protocol at ``scales``. Unless ``--flip`` says it, mirror images count in every
        protocol but the centre crop; without ``mirrors`` only in the ten crops, half of which they are."""
        protocol = self.protocol or "dense"
        flip = self.flip
        if flip is None:
            flip = protocol == "tencrop" or (mirrors and protocol != "centre")
        return Member(net, protocol, scales, flip, self.average)


@dataclass(frozen=True)
class NetworkOptions:
    """Caffemodels and deploy nets as ``NET=FILE``, and the mean that goes with them."""

    weights: tuple[str, ...] = ()
    deploy: tuple[str, ...] = ()
    prototxt_dir: Path | None = None
    mean: MeanOption | None = None
    mean_as: MeanAs = "image"
    channel_order: ChannelOrder = "bgr"
    forks: ForkOptions = field(default_factory=ForkOptions)

    def files(self, *, embedded: bool) -> tuple[list[NetFiles], Mean]:
        """The networks' files and their mean: the options', or those of the ``embedded`` demo.

        Raises OptionError for options that the demo has no use for, and ProtocolError for networks that are
        not there.
        """
        from vggrepro.evaluation import demo
        from vggrepro.evaluation.net_files import files_for_options

        if embedded:
            refuse_with_demo(self, "weights", "deploy", "prototxt_dir", "mean", "mean_as", "channel_order")
            refuse_with_demo(self.forks, *given(self.forks))
            return [demo.FILES], demo.mean_bgr()
        found = files_for_options(self.weights, self.deploy, self.prototxt_dir or PROTOTXT)
        return self._as_forks(found)

    def files_of(self, nets: list[str]) -> tuple[list[NetFiles], Mean]:
        """The files of the paper's ``nets`` and their mean. Raises ProtocolError for a net without files."""
        from vggrepro.evaluation.net_files import files_for_names

        found = files_for_names(nets, self.weights, self.deploy, self.prototxt_dir or PROTOTXT)
        return self._as_forks(found)

    def _as_forks(self, found: Sequence[NetFiles]) -> tuple[list[NetFiles], Mean]:
        """The files with the rules by which they are read, and their mean."""
        rules = self.forks.rules()
        read = [replace(files, rules=rules) for files in found]
        return read, self._mean_for(read)

    def _mean_for(self, files: Sequence[NetFiles]) -> Mean:
        """``--mean``, or that of the published models, with a warning where it is taken for other nets."""
        from vggrepro.data.mean_image import read_mean_image

        if isinstance(self.mean, Path):
            image = read_mean_image(self.mean, self.channel_order)
            return image if self.mean_as == "image" else image.over_pixels
        if self.mean_as != "image":
            raise OptionError(f"--mean-as {self.mean_as}: expected --mean FILE, a mean image, with it")
        hint_at_order(self.mean)
        if self.mean is not None:
            return self.mean
        others = [one.name for one in files if not one.published]
        if others:
            warnings.warn(
                f"no --mean: the mean pixel of the paper's models, {','.join(map(str, ILSVRC_MEAN_BGR))}, is"
                f" subtracted for {', '.join(others)} too",
                stacklevel=2,
            )
        return ILSVRC_MEAN_BGR


@dataclass(frozen=True)
class ReadingOptions:
    """How image files become the pictures that are looked at."""

    exif: Exif = Decoding.exif
    on_bad_image: OnBadImage = Decoding.on_bad_image
    kernel: Kernel = "linear"
    centre: Centre = "floor"
    max_pixels: int = Decoding.max_pixels
    resize: Resize = "keep-aspect"
    channel_order: ChannelOrder = "bgr"
    scale: float = 1.0

    @property
    def reading(self) -> ImageReading:
        from vggrepro.evaluation.measuring.rescaled_image import ImageReading

        shape = self.exif, self.kernel, self.centre, self.max_pixels
        return ImageReading(*shape, self.resize, self.channel_order, self.scale)

    def whole(self, source: Source) -> ImageSet:
        """All images of a source, read in this way."""
        from vggrepro.evaluation.measuring.pipeline import ImageSet

        return ImageSet.whole(source, self.reading, self.on_bad_image)


@dataclass(frozen=True)
class RunningOptions:
    """What changes no result, but for the precision."""

    device: str = "cpu"
    threads: int = 0
    workers: int = default_threads()
    batch: int | None = None
    window: int = 128
    precision: Precision = "fp32"

    def running(self, ranks: Ranks | None = None) -> Execution:
        """How this rank runs (None: a command of one process)."""
        from vggrepro.evaluation.measuring.pipeline import Execution

        return Execution(
            device=placed(self.device, ranks or Alone()),
            threads=self.threads,
            batch=self.batch or (8 if self.device == "cpu" else 64),
            window=self.window,
            workers=self.workers,
            precision=self.precision,
        )


def add_view_options(options: Options, scales: str, flip: str) -> None:
    """Add the options of :class:`ViewOptions`; ``scales`` and ``flip`` tell what holds without the option."""
    options.add_argument("--protocol", choices=PROTOCOLS, help="how an image is looked at (default: dense)")
    add_scales_option(options, scales)
    options.add_argument(
        "--flip", action=BooleanOptionalAction, help=f"look at mirror images too (default: {flip})"
    )


def add_scales_option(options: Options, default: str) -> None:
    """Add ``--scales``; ``default`` tells what holds without it."""
    options.add_argument(
        "--scales", type=sizes, metavar="Q,...", help=f"smallest sides in pixels (default: {default})"
    )


def add_protocol_options(options: Options, scales: str, flip: str) -> None:
    """Add the options of :class:`ProtocolOptions`; ``scales`` and ``flip`` tell what holds without the
    option."""
    add_view_options(options, scales, flip)
    options.add_argument(
        "--average",
        choices=AVERAGES,
        default=BEFORE,
        help=f"where dense score maps are averaged over positions (default: {BEFORE})",
    )


def add_network_options(options: Options) -> None:
    """Add the options of :class:`NetworkOptions`."""
    options.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="FILE",
        help='caffemodel, or NET=FILE; NET is a name of the paper ("D:256;512", or D), or any for an own net;'
        " repeatable, several nets are fused",
    )
    options.add_argument(
        "--deploy",
        action="append",
        default=[],
        metavar="FILE",
        help="deploy prototxt of a net that is not the paper's, or NET=FILE; repeatable",
    )
    add_prototxt_option(options)
    add_input_options(options)
    add_fork_options(options)


def add_input_options(options: Options) -> None:
    """Add the options that say what a network's input is: mean, order of the channels, scale."""
    add_mean_option(options, f"{','.join(map(str, ILSVRC_MEAN_BGR))}, of the published models")
    add_mean_as_option(options)
    add_channel_order_option(options)
    add_scale_option(options)


def add_prototxt_option(options: Options) -> None:
    """Add ``--prototxt-dir``."""
    options.add_argument(
        "--prototxt-dir",
        type=Path,
        metavar="DIR",
        help="where the paper's nets are, as D/deploy.prototxt and D/solver.prototxt (default: those of the"
        " package)",
    )


def add_score_option(options: Options) -> None:
    """Add ``--score-blob``."""
    options.add_argument(
        "--score-blob", metavar="BLOB", help="class scores (default: what is under the final softmax)"
    )


def add_demo_option(options: Options, what: str) -> None:
    """Add ``--demo``. ``what`` of the embedded miniature the command uses."""
    options.add_argument("--demo", action="store_true", help=what)


def add_cache_option(options: Options) -> None:
    """Add ``--cache``."""
    options.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep every view's posterior here, or every image's features: a killed run goes on, and other"
        " averages need no inference",
    )


def add_reading_options(parser: ArgumentParser) -> None:
    """Add the options of :class:`ReadingOptions`, as a group."""
    group = parser.add_argument_group("how images are read")
    add_decoding_options(group)
    add_geometry_options(group)


def add_running_options(parser: ArgumentParser) -> None:
    """Add the options of :class:`RunningOptions`, as a group."""
    group = parser.add_argument_group("running (changes no result, but for --precision)")
    add_device_option(group)
    add_precision_option(group)
    add_threads_option(group)
    add_workers_option(group)
    group.add_argument(
        "--batch",
        type=positive,
        metavar="N",
        help="views at once of the input's size, fewer of larger ones (default: 8 on cpu, 64 on cuda)",
    )
    group.add_argument(
        "--window",
        type=positive,
        default=RunningOptions.window,
        metavar="N",
        help="images decoded ahead and batched by size; ranks share out whole windows (default: 128)",
    )
