"""The answers for every image: ``--predictions`` and ``--compare``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vggrepro.cli.options.read import Options
from vggrepro.cli.options.refuse import refuse_together
from vggrepro.cli.options.report_files import ReportFiles
from vggrepro.cli.options.results import check_outputs
from vggrepro.cli.options.values import result_file
from vggrepro.errors import OptionError
from vggrepro.system.atomic import replacing

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from vggrepro.data.truth.ground_truth import Truth
    from vggrepro.evaluation.measuring.pipeline import ImageSet
    from vggrepro.evaluation.paired import Answers
    from vggrepro.evaluation.predictions import Predictions
    from vggrepro.evaluation.reporting.report import Report

_SUBMISSION = ".txt"


@dataclass(frozen=True)
class PredictionOptions:
    """Where predictions go, and those of another run to compare them with."""

    predictions: Path | None = None
    compare: Path | None = None

    def check(self, options: DataclassInstance) -> Answers | None:
        """The other run's answers, from its predictions or from those that its report names. Raises
        OptionError for a file of another kind, OSError for one that cannot be written, DataError for one that
        cannot be read."""
        from vggrepro.evaluation.predictions import read_answers
        from vggrepro.evaluation.reporting.stored_report import read_report

        check_outputs(self.predictions, options=options)
        if self.predictions is not None and self.predictions.suffix not in (".csv", _SUBMISSION):
            raise OptionError(
                f"--predictions {self.predictions}: expected a name that ends in .csv, or in {_SUBMISSION}"
                " for the contest's format"
            )
        if self.compare is None:
            return None
        if self.compare.suffix == ".json":
            return read_report(self.compare).answers()
        return read_answers(self.compare)

    def check_unlabelled(self, report: ReportFiles) -> None:
        """Raise OptionError for options that have no use without the true classes, or without predictions."""
        if self.predictions is None:
            raise OptionError("--no-labels: expected --predictions FILE with it")
        refuse_together("--no-labels", self, "compare")
        refuse_together("--no-labels", report, "json", "csv", "markdown", "html")

    def check_submission(self, truth: Truth, images: int) -> None:
        """Raise OptionError if the contest's format was asked for, and the number of ``images`` is not that
        of all, or the ids of the classes are not known."""
        if self.predictions is None or self.predictions.suffix != _SUBMISSION:
            return
        if truth.devkit is None or truth.synsets is None:
            raise OptionError(f"--predictions {self.predictions}: the contest's format needs --devkit")
        if images != len(truth.source):
            raise OptionError(
                f"--predictions {self.predictions}: the contest's format has a line for each of"
                f" {len(truth.source)} images, but {images} are evaluated; expected a name that ends in .csv"
            )

    def check_images(self, theirs: Answers | None, truth: Truth, images: ImageSet) -> None:
        """Raise ProtocolError for another run that is not of the same images, as far as that is known before
        the work: with ``--on-bad-image skip`` it is known only afterwards."""
        from vggrepro.evaluation.paired import places

        if theirs is not None and images.on_bad == "error":
            keys = [truth.source.key(int(index)) for index in images.indexes]
            places(keys, truth.labels[images.indexes], theirs)

    def compared(self, report: Report, theirs: Answers | None) -> Report:
        """The report, with the comparison that was asked for."""
        from vggrepro.evaluation.paired import compare

        if theirs is None or report.predictions is None:
            return report
        return replace(report, comparison=compare(report.predictions.answers, theirs))

    def write(self, found: Predictions | None, truth: Truth) -> dict[str, str] | None:
        """Write the predictions. Of a CSV file its name and SHA-256 are returned, by which a report names it.
        Raises OptionError as :meth:`check_submission`, for images left out on the way."""
        from vggrepro.evaluation.predictions import to_csv, to_submission

        if self.predictions is None or found is None:
            return None
        self.check_submission(truth, len(found.keys))
        if self.predictions.suffix == _SUBMISSION and truth.devkit and truth.synsets:
            text = to_submission(found, truth.synsets, truth.devkit)
        else:
            text = to_csv(found)
        content = text.encode("utf-8", "surrogateescape")
        with replacing(self.predictions) as file:
            file.write(content)
        if self.predictions.suffix == _SUBMISSION:
            return None
        return {"file": str(self.predictions), "sha256": hashlib.sha256(content).hexdigest()}


def add_prediction_options(options: Options) -> None:
    """Add the options of :class:`PredictionOptions`."""
    options.add_argument(
        "--predictions",
        type=result_file,
        metavar="FILE",
        help="write what was answered for each image: FILE.csv with the five most probable classes and the"
        " rank of the true one, or FILE.txt in the contest's format; of several combinations the best one's,"
        " and in FILE.csv the ranks by all",
    )
    options.add_argument(
        "--compare",
        type=Path,
        metavar="FILE",
        help="compare with another run on the same images, image by image (McNemar's test): its --predictions"
        " FILE.csv, or its --json report, which names them",
    )
