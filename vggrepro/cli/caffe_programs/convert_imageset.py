"""convert_imageset: the images of a list to a database of Datums."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vggrepro.cli.caffe_programs.program import BackendFlags, logging, printed_help
from vggrepro.cli.options.gflags import flag, read_flags
from vggrepro.data.databases import check_backend, new_database
from vggrepro.data.image_datum import DatumFormat
from vggrepro.data.random_streams import epoch_order
from vggrepro.data.truth.labels import read_list
from vggrepro.errors import DataError, OptionError
from vggrepro.pycaffe import glog, mode
from vggrepro.system.terminal import printable

USAGE = "convert_imageset [FLAGS] ROOTFOLDER/ LISTFILE DB_NAME"


@dataclass(frozen=True)
class ImagesetFlags(BackendFlags):
    """The tool's flags."""

    gray: bool = flag(False, "treat images as grey ones")
    shuffle: bool = flag(False, "shuffle the images and their labels")
    resize_width: int = flag(0, "the width to warp images to")
    resize_height: int = flag(0, "the height to warp images to; one alone changes nothing, as in Caffe")
    check_size: bool = flag(False, "check that all images have the same size")
    encoded: bool = flag(False, "keep the encoded images")
    encode_type: str = flag("", "with -encoded: what to encode as (png, jpg, ...); as the file is")

    @property
    def format(self) -> DatumFormat:
        height, width = max(0, self.resize_height), max(0, self.resize_width)
        kind = self.encode_type.lower()
        return DatumFormat(self.gray, height, width, self.encoded or bool(kind), kind)


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 done, also where an image could not be read, which is then left out, as in Caffe."""
    if printed_help(arguments, USAGE, ImagesetFlags):
        return 0
    flags, words = read_flags(ImagesetFlags, arguments)
    if len(words) < 3:
        raise OptionError(f"usage: {USAGE}; got {len(words)} of 3 arguments")
    check_backend(flags.backend, "convert_imageset")
    with logging(flags, "convert_imageset"):
        _convert(flags, words[0], Path(words[1]), Path(words[2]))
    return 0


def _convert(flags: ImagesetFlags, root: str, listing: Path, database: Path) -> None:
    """Every image that can be read goes under its number in the list and its name."""
    entries = read_list(listing)
    if flags.shuffle:
        glog.log("Shuffling data", "convert_imageset.cpp:87")
        entries = tuple(entries[i] for i in epoch_order(mode.draw_seed(), 0, len(entries)))
    glog.log(f"A total of {len(entries)} images.", "convert_imageset.cpp:90")
    if flags.encode_type and not flags.encoded:
        glog.log("encode_type specified, assuming encoded=true.", "convert_imageset.cpp:93")
    count, size = 0, None
    with new_database(database, flags.backend) as writer:
        for number, (name, label) in enumerate(entries):
            try:
                datum = flags.format.datum(Path(root + name), name, label)
            except DataError as error:
                print(f"warning: left out: {printable(str(error))}", file=sys.stderr)
                continue
            size = len(datum.data) if size is None else size
            if flags.check_size and len(datum.data) != size:
                raise DataError(
                    f"{root}{name}: Incorrect data field size {len(datum.data)} (expected {size})"
                )
            writer.put(f"{number:08d}_{name}".encode("utf-8", "surrogateescape"), datum.SerializeToString())
            count += 1
            if count % 1000 == 0:
                glog.log(f"Processed {count} files.", "convert_imageset.cpp:147")
    if count % 1000:
        glog.log(f"Processed {count} files.", "convert_imageset.cpp:153")
