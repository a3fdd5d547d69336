"""convert_mnist_data: the images and labels of an MNIST set to a database of Datums."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import Datum
from vggrepro.cli.caffe_programs.program import BackendFlags, logging, printed_help
from vggrepro.cli.options.gflags import read_flags
from vggrepro.data.databases import check_backend, new_database
from vggrepro.errors import DataError, OptionError
from vggrepro.pycaffe import glog

USAGE = "convert_mnist_data [FLAGS] INPUT_IMAGE_FILE INPUT_LABEL_FILE OUTPUT_DB_FILE"


def main(arguments: Sequence[str]) -> int:
    """Write the images under their numbers."""
    if printed_help(arguments, USAGE, BackendFlags):
        return 0
    flags, words = read_flags(BackendFlags, arguments)
    if len(words) != 3:
        raise OptionError(f"usage: {USAGE}; got {len(words)} arguments")
    check_backend(flags.backend, "convert_mnist_data")
    images, labels = read_mnist(words[0], words[1])
    count, rows, columns = images.shape
    with logging(flags, "convert_mnist_data"), new_database(Path(words[2]), flags.backend) as writer:
        glog.log(f"A total of {count} items.", "convert_mnist_data.cpp:88")
        glog.log(f"Rows: {rows} Cols: {columns}", "convert_mnist_data.cpp:89")
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            datum = Datum(channels=1, height=rows, width=columns, data=image.tobytes(), label=label)
            writer.put(f"{number:08d}".encode(), datum.SerializeToString())
        glog.log(f"Processed {count} files.", "convert_mnist_data.cpp:111")
    return 0


def read_mnist(images: str, labels: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Images (N, rows, columns) and labels (N,) of two idx files. Raises DataError for other files, and for
    two that do not belong together."""
    pictures, numbers = read_idx(Path(images), 3), read_idx(Path(labels), 1)
    if len(pictures) != len(numbers):
        raise DataError(f"{labels}: {len(numbers)} labels, but {images} has {len(pictures)} images")
    return pictures, numbers


def read_idx(path: Path, axes: int) -> npt.NDArray[np.uint8]:
    """The bytes of an idx file with this number of axes. Raises DataError for another file."""
    content = path.read_bytes()
    head = 4 * (1 + axes)
    magic = int.from_bytes(content[:4], "big")
    if magic != 0x800 + axes or len(content) < head:
        raise DataError(
            f"{path}: Incorrect file magic: {magic}, expected {0x800 + axes} for {axes} axes of bytes"
        )
    shape = struct.unpack(f">{axes}I", content[4:head])
    values = np.frombuffer(content, np.uint8, offset=head)
    if values.size != np.prod(shape, dtype=object):
        raise DataError(f"{path}: {values.size} bytes behind the head, which says {shape}")
    return values.reshape(shape)
