"""What a converted model is compared with before it is written, and what it is fed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vggrepro.cli.net_to_convert import Conversion
from vggrepro.data.npy_file import read_npy
from vggrepro.errors import NetError
from vggrepro.graph.embedded_preprocessing import image_input, with_preprocessing
from vggrepro.graph.forward import build_forward
from vggrepro.graph.model import Graph
from vggrepro.net.transforms.fully_convolutional import fully_convolutional
from vggrepro.system.terminal import printable
from vggrepro.verify.comparison import (
    compare_with_reference,
    difference_table,
    example_inputs,
    verdict_line,
)
from vggrepro.verify.input_noise import NORMALISED, declared_std, saturated
from vggrepro.verify.runtimes.written import Arrays, Example

if TYPE_CHECKING:
    from vggrepro.runtime.session import Session

LARGER = (33, 51)
"""What is added to height and width of images for a fully convolutional model, in pixels."""


@dataclass(frozen=True)
class ConversionCheck:
    """What a conversion's model is fed, and which nets judge what it gives."""

    conversion: Conversion

    def examples(self, graph: Graph, given: Path | None, std: float) -> list[Example]:
        """The array of a file, or noise of a standard deviation; for a fully convolutional model noise of a
        larger image too, whose sides no pooling divides, unless its sizes are fixed."""
        if given is not None:
            return [self.given_example(given)]
        examples = [self._noise(graph, std)]
        if self.conversion.fully_conv and not self.conversion.fixed:
            larger = fully_convolutional(self.conversion.net)
            examples.append(replace(self._noise(graph, std, LARGER), judge=larger))
        return examples

    def _noise(self, graph: Graph, std: float, grow: tuple[int, int] = (0, 0)) -> Example:
        arrays = example_inputs(self.conversion.original, graph, grow=grow, std=std)
        if self.conversion.preprocessing is None:
            return Example(_noise_name(std), self.conversion.original, arrays)
        return self._images(arrays, 0, 256)

    def _images(self, arrays: Arrays, least: int, end: int) -> Example:
        """Images of pixels from ``least`` to before ``end`` at random, and the blob that they become."""
        how, name = self.conversion.preprocessing, image_input(self.conversion.original.inputs)
        assert how is not None
        count, channels, height, width = arrays[name].shape
        last = how.layout == "nhwc"
        shape = (count, height, width, channels) if last else (count, channels, height, width)
        pixels = np.random.default_rng(0).integers(least, end, shape, np.uint8)
        blob = {name: how.blob(pixels)}
        fed = f"pixels from {least} to {end - 1}"
        return Example(fed, self.conversion.original, {**arrays, **blob}, {name: pixels})

    def std(self, graph: Graph, session: Session) -> float:
        """The standard deviation of noise as strong as the net's images, or less where that saturates its
        posteriors."""
        std = declared_std(self.conversion.original)
        if (
            self.conversion.preprocessing is None
            and std > NORMALISED
            and saturated(self.conversion.original, session.run(self._noise(graph, std).arrays))
        ):
            return NORMALISED
        return std

    def noises(self, graph: Graph) -> list[Example]:
        """Noise as of pixels, and noise of a fiftieth of that: a Softmax behind large scores gives 0 and 1,
        whatever is wrong with them."""
        loud = self._noise(graph, declared_std(self.conversion.original))
        if self.conversion.preprocessing is not None:
            return [loud, self._images(loud.arrays, 124, 133)]
        quiet = {
            name: array if np.isin(array, (0, 1)).all() else array / np.float32(50)
            for name, array in loud.arrays.items()
        }
        return [loud, Example("small noise", self.conversion.original, quiet)]

    def given_example(self, path: Path) -> Example:
        """The array of --input; an image of another size is judged by the convolutional net."""
        inputs = self.conversion.original.inputs
        if len(inputs) != 1:
            raise NetError(f"--input: the net has {len(inputs)} inputs ({', '.join(inputs)}), not one")
        ((name, shape),) = inputs.items()
        array = read_npy(path)
        images = {}
        if self.conversion.preprocessing is not None:
            if array.dtype != np.uint8 or array.ndim != 4:
                got = f"{array.dtype} of shape {array.shape}"
                raise NetError(f"{path}: expected images, uint8, as the model takes them, got {got}")
            images, array = {name: array}, self.conversion.preprocessing.blob(array)
        resized = self.conversion.fully_conv and array.shape[1:] != shape[1:]
        judge = fully_convolutional(self.conversion.net) if resized else self.conversion.original
        return Example(str(path), judge, {name: array.astype(np.float32)}, images)


def compare_blobs(
    conversion: Conversion, given: Path | None, tolerance: float, device: str
) -> list[dict[str, Any]]:
    """Compare every blob with the reference of the net as it was before folding and surgery, and print
    tables. Returns what there is to say of each run, ready for JSON."""
    from vggrepro.runtime.device import parse_device  # takes time that a mere conversion does not need
    from vggrepro.runtime.session import Session

    net, check, place = conversion.net, ConversionCheck(conversion), parse_device(device)
    blobs = [blob for blob in net.blobs if blob not in net.inputs]
    graph = build_forward(
        net,
        outputs=blobs,
        fully_convolutional=conversion.fully_conv,
        fixed=conversion.fixed,
        rules=None if place.kind == "cpu" else place.kind,  # None: as it will be written
    )
    if conversion.preprocessing is not None:
        graph = with_preprocessing(graph, conversion.preprocessing)
    session = Session(graph, device)
    results: list[dict[str, Any]] = []
    std = 0.0 if given is not None else check.std(graph, session)
    for example in check.examples(graph, given, std):
        feeds = example.feeds
        sizes = ", ".join(f"{name} {'x'.join(map(str, a.shape))}" for name, a in feeds.items())
        print(printable(f"{sizes}:"))
        differences = compare_with_reference(
            session, example.judge, example.arrays, tolerance, example.images
        )
        print(difference_table(differences, tolerance))
        print(f"{verdict_line(differences, tolerance)} (fed: {printable(example.name)})")
        shapes = {name: list(array.shape) for name, array in feeds.items()}
        told = [difference.as_json() for difference in differences]
        results.append({"inputs": shapes, "fed": example.name, "blobs": told})
    return results


def _noise_name(std: float) -> str:
    return f"normal noise of standard deviation {std:g}"


def half_error(conversion: Conversion, graph: Graph) -> dict[str, float]:
    """How far float16 weights take each output from the reference, in units of its largest magnitude."""
    from vggrepro.runtime.session import Session

    session, errors = Session(graph), dict[str, float]()
    for noise in ConversionCheck(conversion).noises(graph):
        for d in compare_with_reference(session, noise.judge, noise.arrays, 1, noise.images):
            errors[d.blob] = max(d.largest / (d.magnitude or 1), errors.get(d.blob, 0))
    for blob, error in errors.items():
        print(f"float16 weights: output {blob!r} is off by {error:.1e} of its largest value", file=sys.stderr)
    return errors
