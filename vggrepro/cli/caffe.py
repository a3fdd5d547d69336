"""caffe: the command of Caffe, and the tools beside it, with their own flags, arguments and log lines."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vggrepro.cli.options.fork_options import ForkOptions, add_fork_options
from vggrepro.cli.options.gflags import read_flags, wants_help
from vggrepro.cli.options.read import read
from vggrepro.cli.run import Parser, run
from vggrepro.errors import OptionError, did_you_mean
from vggrepro.text_table import aligned
from vggrepro.version import __version__

ACTIONS = {
    "train": "train or finetune a model",
    "test": "score a model",
    "device_query": "show GPU diagnostic information",
    "time": "benchmark model execution time",
}
"""What Caffe's own command does; the flags may stand before the action's name."""

TOOLS = {
    "convert_imageset": "images of a list to an LMDB",
    "compute_image_mean": "the mean image of an LMDB",
    "extract_features": "blobs of a net to LMDBs",
    "convert_mnist_data": "the files of MNIST to an LMDB",
    "convert_mnist_siamese_data": "pairs of MNIST's images to a LevelDB",
    "convert_cifar_data": "the files of CIFAR-10 to two LMDBs",
    "classification": "the five likeliest classes of an image",
    "upgrade_net_proto_text": "a net definition to the current format",
    "upgrade_net_proto_binary": "a weight file to the current format",
    "upgrade_solver_proto_text": "a solver definition to the current format",
    "classify": "python/classify.py: class probabilities of images to an .npy file",
    "draw_net": "python/draw_net.py: a net as a picture",
    "parse_log": "tools/extra/parse_log.py: a training log to two CSV files",
    "make_root": "a folder laid out as Caffe's, whose programs are these commands",
}
"""Programs of Caffe's folders tools, python and examples; the last one is not Caffe's."""


UPGRADES = {
    "upgrade_net_proto_text": False,
    "upgrade_net_proto_binary": False,
    "upgrade_solver_proto_text": True,
}
"""The tools that are one program, and whether they take a solver."""


@dataclass(frozen=True)
class CaffeOptions:
    """The command line: an action or tool, and what is left for it."""

    program: str
    arguments: tuple[str, ...]
    forks: ForkOptions = field(default_factory=ForkOptions)
    traceback: bool = False


_EXAMPLES = [
    "train -solver solver.prototxt",
    "--fork segnet test -model train_val.prototxt -weights net.caffemodel -iterations 50",
    "convert_imageset images/ list.txt train_lmdb",
]


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error (where Caffe aborts), 128 + N stopped by signal N."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["-h"], ["--help"]):
        parser().parse_args(["--help"])
    return run(lambda: _main(arguments), traceback="-traceback" in arguments or "--traceback" in arguments)


def parser() -> argparse.ArgumentParser:
    """What the command takes. The flags of actions and tools are Caffe's: their own ``--help`` tells them."""
    told = [f"  {line}" for line in aligned([*ACTIONS.items(), *TOOLS.items()])]
    parser = Parser(
        command="caffe",
        examples=_EXAMPLES,
        description="Caffe's own command and the tools beside it, with their own flags and log lines.",
        epilog="\n".join(["commands:", *told]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_fork_options(parser.add_argument_group("definitions of forks (in front of COMMAND)"))
    parser.add_argument("program", metavar="COMMAND", help="one of the commands below")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="what it takes (--help behind it)"
    )
    return parser


def _main(arguments: list[str]) -> int:
    from vggrepro import pycaffe
    from vggrepro.cli.caffe_programs.upgrade_files import upgrade
    from vggrepro.pycaffe.mode import reading_by

    if not arguments or (arguments[0].startswith("-") and wants_help(arguments)):
        parser().print_help()
        return 0
    if arguments[0] in ("-version", "--version"):
        print(f"caffe version {pycaffe.__version__} (vggrepro {__version__})")
        return 0
    forks, arguments = _read_forks(arguments)
    options = replace(_read(arguments), forks=forks)
    if options.program in UPGRADES:
        words = options.forks.arguments()
        return upgrade(options.program, options.arguments, words, solver=UPGRADES[options.program])
    module = importlib.import_module(f"vggrepro.cli.caffe_programs.{options.program}")
    with reading_by(options.forks.rules()):
        return int(module.main(options.arguments))


def _read_forks(arguments: list[str]) -> tuple[ForkOptions, list[str]]:
    """The options for definitions of forks, which stand in front of all others, and the words behind them."""
    parser = Parser(prog="caffe", description="")
    add_fork_options(parser)
    own = [action for action in parser._actions if action.dest != "help"]
    takes_value = {name: action.nargs != 0 for action in own for name in action.option_strings}
    place = 0
    while place < len(arguments):
        name, given, _ = arguments[place].partition("=")
        if name not in takes_value:
            break
        place += 1 + (takes_value[name] and not given)
    return read(ForkOptions, parser.parse_args(arguments[:place])), arguments[place:]


def _read(arguments: Sequence[str]) -> CaffeOptions:
    """The action or tool, and the words that are left for it. Flags may stand before an action's name.
    Raises OptionError for no name, or one that there is not."""
    from vggrepro.cli.caffe_programs.action import ActionFlags

    known = [*ACTIONS, *TOOLS]
    if arguments[0] in known:
        return CaffeOptions(arguments[0], tuple(arguments[1:]))
    words = read_flags(ActionFlags, arguments)[1] if arguments[0].startswith("-") else [arguments[0]]
    if not words or words[0] not in ACTIONS:
        name = words[0] if words else "none"
        raise OptionError(f"Unknown action: {name}; there are {', '.join(known)}{did_you_mean(name, known)}")
    for place in (index for index, word in enumerate(arguments) if word == words[0]):
        rest = (*arguments[:place], *arguments[place + 1 :])
        if read_flags(ActionFlags, rest)[1] == words[1:]:  # and not the value of a flag
            return CaffeOptions(words[0], rest)
    raise AssertionError(arguments)
