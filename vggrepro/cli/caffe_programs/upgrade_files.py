"""What Caffe's three tools that upgrade files share."""

from __future__ import annotations

from collections.abc import Sequence

from vggrepro.cli import upgrade_prototxt
from vggrepro.cli.caffe_programs.program import printed_help
from vggrepro.cli.options.gflags import GlogFlags, read_flags
from vggrepro.cli.options.read import read
from vggrepro.cli.upgrade_prototxt import UpgradeOptions
from vggrepro.errors import OptionError


def upgrade(tool: str, arguments: Sequence[str], options: Sequence[str], *, solver: bool) -> int:
    """Upgrade the file that the first argument names to the second, with ``options`` of ``upgrade_prototxt``.
    The exit code is that command's."""
    usage = f"{tool} INPUT OUTPUT"
    if printed_help(arguments, usage, GlogFlags):
        return 0
    _, words = read_flags(GlogFlags, arguments)
    if len(words) != 2:
        raise OptionError(f"usage: {usage}; got {len(words)} arguments")
    solver_option = ["--solver"] if solver else []
    command = [*options, f"--output={words[1]}", *solver_option, "--", words[0]]
    return upgrade_prototxt.upgrade(read(UpgradeOptions, upgrade_prototxt.parser().parse_args(command)))
