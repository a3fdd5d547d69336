"""convert_mnist_siamese_data: pairs of an MNIST set's images to a LevelDB, for a siamese network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vggrepro.caffe.messages import Datum
from vggrepro.cli.caffe_programs.convert_mnist_data import read_mnist
from vggrepro.cli.caffe_programs.program import logging, printed_help
from vggrepro.cli.options.gflags import GlogFlags, read_flags
from vggrepro.data.databases import check_backend, new_database
from vggrepro.errors import OptionError
from vggrepro.pycaffe import glog

USAGE = "convert_mnist_siamese_data INPUT_IMAGE_FILE INPUT_LABEL_FILE OUTPUT_DB_FILE"

_SEED = 0
"""Caffe draws other pairs each time."""


def main(arguments: Sequence[str]) -> int:
    """Write as many pairs as there are images, both images drawn at random: two channels, and the label 1 if
    they show the same digit, else 0."""
    if printed_help(arguments, USAGE, GlogFlags):
        return 0
    flags, words = read_flags(GlogFlags, arguments)
    if len(words) != 3:
        raise OptionError(f"usage: {USAGE}; got {len(words)} arguments")
    check_backend("leveldb", "convert_mnist_siamese_data")
    images, labels = read_mnist(words[0], words[1])
    count, rows, columns = images.shape
    pairs = np.random.default_rng(_SEED).integers(max(count, 1), size=(count, 2))
    with (
        logging(flags, "convert_mnist_siamese_data"),
        new_database(Path(words[2]), "leveldb") as writer,
    ):
        glog.log(f"A total of {count} items.", "convert_mnist_siamese_data.cpp:86")
        glog.log(f"Rows: {rows} Cols: {columns}", "convert_mnist_siamese_data.cpp:87")
        for number, pair in enumerate(pairs.tolist()):
            same = int(labels[pair[0]] == labels[pair[1]])
            datum = Datum(channels=2, height=rows, width=columns, data=images[pair].tobytes(), label=same)
            writer.put(f"{number:08d}".encode(), datum.SerializeToString())
    return 0
