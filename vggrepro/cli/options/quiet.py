"""``--quiet``: results, warnings and errors alone."""

from __future__ import annotations

from vggrepro.cli.options.read import Options


def add_quiet_option(options: Options, also: str = "") -> None:
    """Add ``--quiet``; ``also`` is what else the command leaves out then."""
    options.add_argument(
        "--quiet",
        action="store_true",
        help=f"no progress and no notes on stderr; results, warnings and errors stay{also}",
    )
