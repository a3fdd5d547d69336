"""classify: class probabilities of images, with the arguments of Caffe's python/classify.py."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro import pycaffe
from vggrepro.cli.options.read import read
from vggrepro.cli.options.values import result_file
from vggrepro.cli.run import Parser
from vggrepro.data.npy_file import read_npy
from vggrepro.errors import DataError
from vggrepro.pycaffe import io, mode
from vggrepro.pycaffe.classifier import Classifier
from vggrepro.system.atomic import replacing

MODEL = "models/bvlc_reference_caffenet"
MEAN = "python/caffe/imagenet/ilsvrc_2012_mean.npy"


@dataclass(frozen=True)
class ClassifierOptions:
    """The command line."""

    input_file: Path
    output_file: Path
    model_def: str
    pretrained_model: str
    gpu: bool
    center_only: bool
    images_dim: tuple[int, ...]
    mean_file: str
    input_scale: float | None
    raw_scale: float
    channel_swap: tuple[int, ...]
    ext: str


def main(arguments: Sequence[str]) -> int:
    """Write the probabilities (images, classes), float32, to an .npy file."""
    options = read(ClassifierOptions, parser().parse_args(arguments))
    pycaffe.install()
    if options.gpu:
        mode.set_mode_gpu()
    print("GPU mode" if options.gpu else "CPU mode")
    classifier = Classifier(
        options.model_def,
        options.pretrained_model,
        image_dims=options.images_dim,
        mean=read_npy(options.mean_file) if options.mean_file else None,
        input_scale=options.input_scale,
        raw_scale=options.raw_scale,
        channel_swap=options.channel_swap or None,
    )
    inputs = _inputs(options)
    print(f"Classifying {len(inputs)} inputs.")
    start = time.perf_counter()
    predictions = classifier.predict(inputs, not options.center_only)
    print(f"Done in {time.perf_counter() - start:.2f} s.")
    output = options.output_file
    if output.suffix != ".npy":
        output = output.with_name(f"{output.name}.npy")  # as numpy.save calls it
    print(f"Saving results into {output}")
    with replacing(output) as file:
        np.save(file, predictions)
    return 0


def _inputs(options: ClassifierOptions) -> list[npt.NDArray[Any]]:
    """The images of an .npy file, of a folder in the order of their names, or one. Raises DataError if there
    are none."""
    path = options.input_file.expanduser()
    print(f"Loading {'folder' if path.is_dir() else 'file'}: {path}")
    if path.name.endswith("npy"):
        return list(read_npy(path))
    files = sorted(path.glob(f"*.{options.ext}")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: no files *.{options.ext} in this folder")
    return [io.load_image(str(file)) for file in files]


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")] if text else []


def parser() -> argparse.ArgumentParser:
    """All options of the tool."""
    parser = Parser(prog="classify", description="Class probabilities of images, as Caffe's Classifier.")
    parser.add_argument("input_file", type=Path, help="an image, a folder, or an .npy file of images")
    parser.add_argument("output_file", type=result_file, help="the .npy file to write")
    parser.add_argument("--model_def", default=f"{MODEL}/deploy.prototxt", help="the net definition")
    parser.add_argument(
        "--pretrained_model", default=f"{MODEL}/bvlc_reference_caffenet.caffemodel", help="the weight file"
    )
    parser.add_argument("--gpu", action="store_true", help="compute on the GPU")
    parser.add_argument(
        "--center_only",
        action="store_true",
        help="take the crop in the middle (default: the mean over ten crops)",
    )
    parser.add_argument(
        "--images_dim",
        type=_numbers,
        default=[256, 256],
        metavar="HEIGHT,WIDTH",
        help="the size that images are resized to (default: 256,256)",
    )
    parser.add_argument(
        "--mean_file", default=MEAN, help=f"the mean image, an .npy file; '' for none (default: {MEAN})"
    )
    parser.add_argument("--input_scale", type=float, help="what to multiply by after all else")
    parser.add_argument(
        "--raw_scale", type=float, default=255.0, help="what to multiply pixels in [0, 1] by (default: 255)"
    )
    parser.add_argument(
        "--channel_swap",
        type=_numbers,
        default=[2, 1, 0],
        help="the order of the channels; '' for that of the file (default: 2,1,0, R, G, B to B, G, R)",
    )
    parser.add_argument("--ext", default="jpg", help="how the names of a folder's images end (default: jpg)")
    return parser
