"""What Caffe's programs share: their help, their log, the flag that names a database's kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vggrepro.cli.options.gflags import GlogFlags, flag, flags_help, wants_help
from vggrepro.pycaffe import glog
from vggrepro.text_table import aligned


@dataclass(frozen=True)
class BackendFlags(GlogFlags):
    """The flags of programs that read or write a database."""

    backend: str = flag("lmdb", "the kind of the database: lmdb or leveldb")


def printed_help(arguments: Sequence[str], usage: str, kind: type[GlogFlags]) -> bool:
    """Print the usage and the flags, if a command line asks for them. Returns whether it does."""
    if not wants_help(arguments):
        return False
    rows = aligned(flags_help(kind)) if flags_help(kind) else []
    print("\n".join([f"usage: {usage}", *(f"  {row}" for row in rows)]))
    return True


@contextmanager
def logging(flags: GlogFlags, program: str) -> Iterator[None]:
    """Within the block, log as ``-minloglevel`` and ``-log_dir`` say."""
    with ExitStack() as stack:
        if flags.minloglevel:
            stack.enter_context(glog.at_level(flags.minloglevel))
        if flags.log_dir:
            stack.enter_context(glog.log_file(Path(flags.log_dir), program))
        yield
