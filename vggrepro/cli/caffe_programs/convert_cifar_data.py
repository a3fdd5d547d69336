"""convert_cifar_data: the binary batches of CIFAR-10 to two databases of Datums."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vggrepro.caffe.messages import Datum
from vggrepro.cli.caffe_programs.program import logging, printed_help
from vggrepro.cli.options.gflags import GlogFlags, read_flags
from vggrepro.data.databases import DatabaseWriter, check_backend, new_database
from vggrepro.errors import DataError, OptionError
from vggrepro.pycaffe import glog

USAGE = "convert_cifar_data INPUT_FOLDER OUTPUT_FOLDER DB_TYPE"

SIZE = 32
_BYTES = 3 * SIZE * SIZE
_BATCH = 10000
"""Images in one file: the numbers of a file's images begin at a multiple of this."""


def main(arguments: Sequence[str]) -> int:
    """Write ``cifar10_train_lmdb`` and ``cifar10_test_lmdb``, or ``..._leveldb``, into the output folder."""
    if printed_help(arguments, USAGE, GlogFlags):
        return 0
    flags, words = read_flags(GlogFlags, arguments)
    if len(words) != 3:
        raise OptionError(f"usage: {USAGE}; got {len(words)} arguments")
    check_backend(words[2], "convert_cifar_data")
    source, target, backend = Path(words[0]), Path(words[1]), words[2]
    with logging(flags, "convert_cifar_data"):
        with new_database(target / f"cifar10_train_{backend}", backend) as writer:
            glog.log("Writing Training data", "convert_cifar_data.cpp:56")
            for number in range(5):
                glog.log(f"Training Batch {number + 1}", "convert_cifar_data.cpp:59")
                _put(writer, source / f"data_batch_{number + 1}.bin", number * _BATCH)
        with new_database(target / f"cifar10_test_{backend}", backend) as writer:
            glog.log("Writing Testing data", "convert_cifar_data.cpp:79")
            _put(writer, source / "test_batch.bin", 0)
    return 0


def _put(writer: DatabaseWriter, path: Path, first: int) -> None:
    """Add the records of a file: a label's byte, and the bytes of an image (3, 32, 32) in R, G, B."""
    content = path.read_bytes()
    if not content or len(content) % (1 + _BYTES) or len(content) > _BATCH * (1 + _BYTES):
        raise DataError(
            f"{path}: {len(content)} bytes, expected up to {_BATCH} records of {1 + _BYTES} bytes: not a"
            " batch of the binary version of CIFAR-10"
        )
    for number, start in enumerate(range(0, len(content), 1 + _BYTES), first):
        data = content[start + 1 : start + 1 + _BYTES]
        datum = Datum(channels=3, height=SIZE, width=SIZE, data=data, label=content[start])
        writer.put(f"{number:05d}".encode(), datum.SerializeToString())
