"""compute_image_mean: the mean of the images of a database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import BlobProto
from vggrepro.cli.caffe_programs.program import BackendFlags, logging, printed_help
from vggrepro.cli.options.gflags import read_flags
from vggrepro.data.databases import check_backend, open_database
from vggrepro.data.datum import datum_array
from vggrepro.data.sources.lmdb import LmdbSource
from vggrepro.errors import DataError, OptionError
from vggrepro.pycaffe import glog
from vggrepro.system.atomic import replacing
from vggrepro.system.file_names import file_path

USAGE = "compute_image_mean [FLAGS] INPUT_DB [OUTPUT_FILE]"


def main(arguments: Sequence[str]) -> int:
    """Write the mean image, if a file is named, and log the mean of each channel."""
    if printed_help(arguments, USAGE, BackendFlags):
        return 0
    flags, words = read_flags(BackendFlags, arguments)
    if not 1 <= len(words) <= 2:
        raise OptionError(f"usage: {USAGE}; got {len(words)} arguments")
    output = file_path(words[1]) if len(words) == 2 else None
    check_backend(flags.backend, "compute_image_mean")
    with logging(flags, "compute_image_mean"):
        mean = mean_of(open_database(Path(words[0]), flags.backend))
        if output is not None:
            glog.log(f"Write to {output}", "compute_image_mean.cpp:98")
            _write(output, mean)
        glog.log(f"Number of channels: {len(mean)}", "compute_image_mean.cpp:103")
        for channel, values in enumerate(mean):
            sums = np.add.accumulate(values.ravel(), dtype=np.float32)  # one after another, as Caffe adds
            value = sums[-1] / np.float32(values.size)
            glog.log(f"mean_value channel [{channel}]: {value:g}", "compute_image_mean.cpp:108")
    return 0


def mean_of(source: LmdbSource) -> npt.NDArray[np.float32]:
    """The mean (C, H, W), added up in float32 in the order of the records, as Caffe does. Raises DataError
    for records of several sizes."""
    glog.log("Starting iteration", "compute_image_mean.cpp:61")
    total: npt.NDArray[np.float32] | None = None
    for index in range(len(source)):
        place = source.place(index)
        array = datum_array(source.datum(index), place)  # (C, H, W)
        if total is None:
            total = np.zeros(array.shape, np.float32)
        if array.shape != total.shape:
            raise DataError(f"{place}: Incorrect data field size: {array.shape}, the first has {total.shape}")
        total += array
        if (index + 1) % 10000 == 0:
            glog.log(f"Processed {index + 1} files.", "compute_image_mean.cpp:85")
    if len(source) % 10000:
        glog.log(f"Processed {len(source)} files.", "compute_image_mean.cpp:91")
    assert total is not None  # an open source has records
    return np.asarray(total / np.float32(len(source)))


def _write(path: Path, mean: npt.NDArray[np.float32]) -> None:
    channels, height, width = mean.shape
    blob = BlobProto(num=1, channels=channels, height=height, width=width, data=mean.ravel())
    with replacing(path) as file:
        file.write(blob.SerializeToString())
