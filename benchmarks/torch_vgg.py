"""The paper's configurations as one writes them in PyTorch. Needs nothing of this package."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

BLOCKS = {
    "A": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "D": ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
}
"""Table 1: output channels of the 3x3 convolutions, by block."""


def vgg(net: str, *, side: int = 224, dropout: float | None = None, dense: bool = False) -> nn.Sequential:
    """Configuration ``net`` up to its scores, for images of ``side`` pixels; with ``dense`` its fully
    connected layers are convolutions (section 3.2), and images may be larger. None: without dropout."""
    layers: list[nn.Module] = []
    channels = 3
    for block in BLOCKS[net]:
        for count in block:
            layers += [nn.Conv2d(channels, count, 3, padding=1), nn.ReLU(inplace=True)]
            channels = count
        layers.append(nn.MaxPool2d(2, 2))
    layers += [] if dense else [nn.Flatten()]
    for inputs, area in ((channels, side // 32), (4096, 1)):
        layers += [_connected(inputs, 4096, area, dense=dense), nn.ReLU(inplace=True)]
        layers += [] if dropout is None else [nn.Dropout(dropout)]
    return nn.Sequential(*layers, _connected(4096, 1000, 1, dense=dense))


def _connected(inputs: int, outputs: int, side: int, *, dense: bool) -> Any:
    return nn.Conv2d(inputs, outputs, side) if dense else nn.Linear(inputs * side * side, outputs)


def set_parameters(net: nn.Module, arrays: list[Any]) -> None:
    """Give the net's parameters values of Caffe's shapes, in the net's order."""
    with torch.no_grad():
        for parameter, array in zip(net.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(array.reshape(tuple(parameter.shape))))
