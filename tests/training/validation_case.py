"""A tiny net in training, its test net, and pictures to test it on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tiny_run import NET, TESTED, write_pictures, write_solver

from vggrepro.data.reading import BadImages, Reader
from vggrepro.data.sources import Source, open_images, with_labels
from vggrepro.data.truth.labels import labels_by_folder
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceView
from vggrepro.training.definition import read_definition
from vggrepro.training.solver import Solver
from vggrepro.training.testing import TestNet
from vggrepro.training.training_data import CropsToBlob, ImageInputs
from vggrepro.training.validation_sets import ImageValidationSet

MEAN = (120.0, 110.0, 130.0)


def contents(place: DeviceView) -> np.ndarray:
    flat = place.array.read()
    return flat[place.offset : place.offset + place.size].reshape(place.shape)


def validation(folder: Path, count: int = 3) -> Source:
    source = open_images(write_pictures(folder, count))
    labels, _ = labels_by_folder([source.key(i) for i in range(len(source))], None, "val")
    return with_labels(source, labels)


def image_test(net: TestNet, source: Source, policy: str = "error") -> ImageValidationSet:
    inputs = ImageInputs(net.net)
    prepare = CropsToBlob(Device("cpu"), inputs.batch, inputs.side, threads=1)
    return ImageValidationSet(Reader(source, BadImages(policy)), inputs, prepare, MEAN, 10, threads=1)  # type: ignore[arg-type]


def solver_and_test(folder: Path, net: str = NET) -> tuple[Solver, TestNet]:
    definition = read_definition(write_solver(folder, net, **TESTED))
    solver = Solver(definition, threads=1)
    return solver, TestNet(solver, definition.test_messages()[0])
