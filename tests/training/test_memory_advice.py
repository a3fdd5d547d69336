"""A full GPU, and what fits."""

from __future__ import annotations

from pathlib import Path

import pytest
from net_files import image, layer, net_of

from vggrepro.errors import DeviceMemoryError
from vggrepro.net import Net
from vggrepro.runtime.cuda_state import Memory
from vggrepro.runtime.device import Device
from vggrepro.training.memory_advice import USABLE, WORKING, advising_passes, images_that_fit
from vggrepro.training.solver_arrays import SolverArrays

PER_IMAGE = 4 * (100 + 10)
"""Bytes of the blobs of one image."""


@pytest.fixture
def net(tmp_path: Path) -> Net:
    product = "inner_product_param { num_output: 10 bias_term: false }"
    return net_of(tmp_path, image(12, 100) + layer("ip", "InnerProduct", "data", more=product), phase="TRAIN")


def failing(net: Net, memory: Memory | None, iter_size: int, monkeypatch: pytest.MonkeyPatch) -> str:
    arrays = SolverArrays.allocate(net, Device("cpu"), histories=1, accumulates=iter_size > 1)
    monkeypatch.setattr(Device, "memory", lambda _: memory)
    with (
        pytest.raises(DeviceMemoryError) as caught,
        advising_passes(net, arrays, Device("cuda"), iter_size),
    ):
        raise DeviceMemoryError("device cuda:0: out of memory")
    return str(caught.value)


def room(images: int) -> Memory:
    """A GPU in which values, gradients, their sum, a history and so many images fit."""
    return Memory(0, int((WORKING + 4 * 4 * 1008 + (images + 0.5) * PER_IMAGE) / USABLE))


@pytest.mark.parametrize("images", [0, 1, 7])
def test_beside_the_parameters_every_blob_counts(net: Net, images: int) -> None:
    arrays = SolverArrays.allocate(net, Device("cpu"), histories=1, accumulates=False)
    assert arrays.layout.size == 1008
    assert images_that_fit(net, arrays, room(images).total) == images


def test_a_pass_that_has_failed_does_not_fit_whatever_is_counted(net: Net) -> None:
    arrays = SolverArrays.allocate(net, Device("cpu"), histories=1, accumulates=False)
    assert images_that_fit(net, arrays, room(30).total) == 11


@pytest.mark.parametrize(
    ("images", "iter_size", "advice"),
    [
        (7, 1, "--iter-size 2 makes passes of 6"),
        (5, 1, "--iter-size 3 makes passes of 4"),
        (0, 1, "a pass of 12 images does not fit, and a smaller one hardly will"),
    ],
)
def test_the_advice_divides_the_batch(
    net: Net, images: int, iter_size: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = failing(net, room(images), iter_size, monkeypatch)
    assert message.startswith("device cuda:0: out of memory: ") and message.endswith(advice)


def test_passes_are_divided_further(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    assert failing(net, room(7), 3, monkeypatch).endswith("--iter-size 6 makes passes of 6")


def test_where_the_memory_is_not_known(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "a larger --iter-size makes smaller passes" in failing(net, None, 1, monkeypatch)
