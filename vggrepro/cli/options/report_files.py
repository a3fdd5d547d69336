"""Files that an evaluation's report is written to: ``--json``, ``--csv``, ``--markdown``, ``--html``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vggrepro.cli.options.read import Options
from vggrepro.cli.options.results import add_json_option, check_outputs
from vggrepro.cli.options.values import result_file
from vggrepro.system.atomic import replacing, write_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from vggrepro.evaluation.measuring.pipeline import ImageSet
    from vggrepro.evaluation.reporting.report import Report


@dataclass(frozen=True)
class ReportFiles:
    """The files that were asked for."""

    json: Path | None = None
    markdown: Path | None = None
    html: Path | None = None
    csv: Path | None = None

    def check(self, options: DataclassInstance | None = None) -> None:
        """Raise OSError or OptionError for a file that cannot be written or would destroy one that the
        ``options`` of the command name: see :func:`check_outputs`."""
        check_outputs(self.json, self.csv, self.markdown, self.html, options=options)

    def write(self, report: Report, images: ImageSet) -> None:
        """Write a report to them, with thumbnails from the same ``images``."""
        from vggrepro.evaluation.reporting.page import page
        from vggrepro.evaluation.reporting.report import to_json, to_markdown
        from vggrepro.evaluation.reporting.results_csv import to_results_csv
        from vggrepro.evaluation.reporting.thumbnails import thumbnails

        if self.json is not None:
            write_json(self.json, to_json(report))
        if self.csv is not None:
            _save(self.csv, to_results_csv(report))
        if self.markdown is not None:
            _save(self.markdown, to_markdown(report))
        if self.html is not None:
            worst, reading = [m.index for m in report.results.worst], images.reading
            pictures = thumbnails(images.source, worst, reading.exif, max_pixels=reading.max_pixels)
            _save(self.html, page(report, pictures))


def add_report_options(options: Options) -> None:
    """Add the options of :class:`ReportFiles`."""
    add_json_option(options)
    options.add_argument(
        "--csv",
        type=result_file,
        metavar="FILE",
        help="write the errors as a table, in the columns of timm's results",
    )
    options.add_argument("--markdown", type=result_file, metavar="FILE", help="write what is printed")
    options.add_argument("--html", type=result_file, metavar="FILE", help="write a self-contained page")


def _save(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))  # file names may be no UTF-8
