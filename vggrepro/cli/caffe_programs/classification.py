"""classification: the five likeliest classes of one image, as Caffe's example in C++ (cpp_classification)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vggrepro import pycaffe
from vggrepro.caffe.binary import read_blob
from vggrepro.caffe.messages import TEST
from vggrepro.cli.caffe_programs.program import logging, printed_help
from vggrepro.cli.options.gflags import GlogFlags, read_flags
from vggrepro.data.decode import decode
from vggrepro.data.transform import resize
from vggrepro.errors import DataError, NetError, OptionError
from vggrepro.pycaffe.net import Net

USAGE = "classification DEPLOY.PROTOTXT NETWORK.CAFFEMODEL MEAN.BINARYPROTO LABELS.TXT IMG.JPG"

_SHOWN = 5


def main(arguments: Sequence[str]) -> int:
    """Print the classes with their probabilities, the likeliest first."""
    if printed_help(arguments, USAGE, GlogFlags):
        return 0
    flags, words = read_flags(GlogFlags, arguments)
    if len(words) != 5:
        raise OptionError(f"usage: {USAGE}; got {len(words)} arguments")
    prototxt, weights, mean_file, labels_file, image_file = words
    pycaffe.install()
    with logging(flags, "classification"):
        net = Net(prototxt, TEST, weights=weights)
        labels = Path(labels_file).read_text("utf-8", errors="surrogateescape").splitlines()
        _check(net, prototxt, labels, labels_file)
        blob = net.blobs[net.inputs[0]]
        blob.reshape(1, *blob.dims[1:])
        blob.data[0] = _prepared(Path(image_file), Path(mean_file), blob.dims[1:])
        net.forward()
        scores = net.blobs[net.outputs[0]].data[0].ravel()
    print(f"---------- Prediction for {image_file} ----------")
    for index in np.argsort(-scores, kind="stable")[:_SHOWN]:
        print(f'{scores[index]:.4f} - "{labels[index]}"')
    return 0


def _check(net: Net, prototxt: str, labels: Sequence[str], labels_file: str) -> None:
    if len(net.inputs) != 1 or len(net.outputs) != 1:
        raise NetError(f"{prototxt}: expected one input and one output, got {net.inputs} and {net.outputs}")
    shape = net.blobs[net.inputs[0]].dims
    if len(shape) != 4 or shape[1] not in (1, 3):
        raise NetError(f"{prototxt}: Input layer should have 1 or 3 channels, its shape is {shape}")
    classes = net.blobs[net.outputs[0]].channels
    if len(labels) != classes:
        raise DataError(
            f"{labels_file}: {len(labels)} labels: Number of labels is different from the output layer"
            f" dimension, {classes}"
        )


def _prepared(path: Path, mean_file: Path, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """The image in the net's shape (C, H, W), less the mean of each channel of the mean image."""
    channels, height, width = shape
    mean = read_blob(mean_file)
    if mean.ndim != 4 or mean.shape[:2] != (1, channels):
        raise DataError(
            f"{mean_file}: an array of {mean.shape}: Number of channels of mean file doesn't match input"
            f" layer, which has {channels}"
        )
    pixels = decode(path.read_bytes(), str(path), grey=channels == 1).warned(str(path))  # (H, W, C)
    if pixels.shape[:2] != (height, width):
        pixels = resize(pixels, height, width)
    values = mean.mean(axis=(0, 2, 3), dtype=np.float64).astype(np.float32)
    return np.asarray(pixels.transpose(2, 0, 1) - values[:, None, None], np.float32)
