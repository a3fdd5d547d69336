"""extract_features: blobs of a net, batch by batch, to databases of Datums."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from vggrepro import pycaffe
from vggrepro.caffe.messages import TEST, Datum
from vggrepro.cli.caffe_programs.program import logging, printed_help
from vggrepro.cli.options.gflags import GlogFlags, read_flags
from vggrepro.data.databases import DatabaseWriter, check_backend, new_database
from vggrepro.errors import OptionError
from vggrepro.pycaffe import glog, mode
from vggrepro.pycaffe.net import Net

USAGE = (
    "extract_features PRETRAINED_NET_PARAM FEATURE_EXTRACTION_PROTO_FILE BLOB_NAME1[,NAME2,...]"
    " DATASET_NAME1[,NAME2,...] NUM_MINI_BATCHES DB_TYPE [CPU|GPU] [DEVICE_ID=0]"
)


def main(arguments: Sequence[str]) -> int:
    """Write one database for each blob."""
    if printed_help(arguments, USAGE, GlogFlags):
        return 0
    flags, words = read_flags(GlogFlags, arguments)
    if not 6 <= len(words) <= 8:
        raise OptionError(f"usage: {USAGE}; got {len(words)} arguments")
    weights, prototxt, blobs, databases, batches, backend = words[:6]
    if not re.fullmatch(r"[0-9]{1,9}", batches):
        raise OptionError(f"extract_features: number of mini-batches {batches!r}: expected a whole number")
    check_backend(backend, "extract_features")
    names, paths = blobs.split(","), [Path(path) for path in databases.split(",")]
    if len(names) != len(paths):
        raise OptionError(
            "extract_features: the number of blob names and dataset names must be equal:"
            f" {len(names)} and {len(paths)}"
        )
    pycaffe.install()
    with logging(flags, "extract_features"):
        _use_device(words[6:])
        net = Net(prototxt, TEST, weights=weights)
        unknown = [name for name in names if name not in net.blobs]
        if unknown:
            raise OptionError(f"Unknown feature blob name {unknown[0]} in the network {prototxt}")
        _extract(net, dict(zip(names, paths, strict=True)), backend, int(batches))
    return 0


def _use_device(words: Sequence[str]) -> None:
    if not words or words[0] == "CPU":
        glog.log("Using CPU", "extract_features.cpp:63")
        mode.set_mode_cpu()
        return
    device = words[1].removeprefix("DEVICE_ID=") if len(words) > 1 else "0"
    if words[0] != "GPU" or not device.isdecimal():
        raise OptionError(f"extract_features: device {' '.join(words)!r}: expected CPU, or GPU and a number")
    glog.log(f"Using Device_id={device}", "extract_features.cpp:58")
    mode.set_device(int(device))
    mode.set_mode_gpu()


def _extract(net: Net, databases: dict[str, Path], backend: str, batches: int) -> None:
    glog.log("Extracting Features", "extract_features.cpp:133")
    counts = dict.fromkeys(databases, 0)
    with ExitStack() as stack:
        writers = {name: stack.enter_context(new_database(path, backend)) for name, path in databases.items()}
        for _ in range(batches):
            net._forward(0, len(net.layers) - 1)
            for name, writer in writers.items():
                counts[name] = _put(net, name, writer, counts[name])
    for name, count in counts.items():
        what = f"Extracted features of {count} query images for feature blob {name}"
        glog.log(what, "extract_features.cpp:179")
    glog.log("Successfully extracted the features!", "extract_features.cpp:184")


def _put(net: Net, name: str, writer: DatabaseWriter, first: int) -> int:
    """Add the rows of a blob as floats, under their numbers from ``first`` on. Returns the next number."""
    blob = net.blobs[name]
    rows = net.array(name).reshape(blob.num, -1)
    for number, row in enumerate(rows, first):
        datum = Datum(channels=blob.channels, height=blob.height, width=blob.width, float_data=row)
        writer.put(f"{number:010d}".encode(), datum.SerializeToString())
    return first + len(rows)
