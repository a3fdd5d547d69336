"""Images with their ground truth: options of the evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vggrepro.cli.options.images import add_class_options, add_tar_option
from vggrepro.cli.options.read import Options
from vggrepro.cli.options.refuse import refuse_together, refuse_with_demo
from vggrepro.errors import OptionError

if TYPE_CHECKING:
    from vggrepro.data.truth.ground_truth import Truth


@dataclass(frozen=True)
class TruthOptions:
    """Where images and labels come from."""

    images: Path | None = None
    labels: Path | None = None
    synsets: Path | None = None
    devkit: Path | None = None
    blacklist: Path | None = None
    tar_index: Path | None = None
    no_labels: bool = False

    def files(self, *, embedded: bool) -> dict[str, Path | None]:
        """The files of the ground truth that were given, or those of the ``embedded`` demo."""
        from vggrepro.evaluation import demo

        if embedded:
            return {"labels": demo.LABELS, "synsets": demo.SYNSETS}
        return {name: getattr(self, name) for name in ("labels", "synsets", "devkit", "blacklist")}

    def open(self, *, embedded: bool) -> Truth:
        """The images that the options name, or those of the ``embedded`` demo, which brings its own.

        Raises OptionError, DataError or OSError.
        """
        from vggrepro.data.truth.ground_truth import open_truth, open_unlabelled
        from vggrepro.evaluation import demo

        if embedded:
            refuse_with_demo(
                self, "images", "labels", "synsets", "devkit", "blacklist", "tar_index", "no_labels"
            )
            return demo.truth()
        if self.images is None:
            raise OptionError("no images: expected --images PATH (or --demo)")
        if self.no_labels:
            refuse_together("--no-labels", self, "labels", "blacklist")
            return open_unlabelled(self.images, self.synsets, self.devkit, self.tar_index)
        return open_truth(self.images, self.labels, self.synsets, self.devkit, self.blacklist, self.tar_index)


def add_truth_options(options: Options) -> None:
    """Add the options of :class:`TruthOptions`."""
    options.add_argument(
        "--images", type=Path, metavar="PATH", help="a folder, a tar (read in place) or an LMDB"
    )
    options.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="Caffe's list ('file label'), the devkit's ground truth, or Kaggle's LOC_val_solution.csv;"
        " without it an LMDB's labels or the classes in the paths count",
    )
    options.add_argument(
        "--no-labels",
        action="store_true",
        help="the classes of the images are not known: write --predictions and no errors",
    )
    add_class_options(options)
    options.add_argument(
        "--blacklist", type=Path, metavar="FILE", help="the devkit's list of images to leave out"
    )
    add_tar_option(options)
