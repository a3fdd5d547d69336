"""Names of Caffe's module before its version 1.0, for scripts of 2014: a net has a phase and a mode that are
set after it is made, and prepares its inputs itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import PycaffeError
from vggrepro.pycaffe import io, mode

Array = npt.NDArray[Any]


class EarlierNetNames:
    """What ``Net`` had then. Preparation is that of :class:`io.Transformer`, with (H, W, K) transposed."""

    set_mode_cpu = staticmethod(mode.set_mode_cpu)
    set_mode_gpu = staticmethod(mode.set_mode_gpu)
    set_device = staticmethod(mode.set_device)

    def set_phase_train(self) -> None:
        """Go on as a net in phase TRAIN. Raises RuntimeError for the net of a solver."""
        _set_phase(self, TRAIN)

    def set_phase_test(self) -> None:
        """Go on as a net in phase TEST, with the same parameters and inputs. Blobs that a script holds from
        before are no longer the net's. Raises RuntimeError for the net of a solver."""
        _set_phase(self, TEST)

    def set_mean(
        self, input_: str, mean_f: str | os.PathLike[str] | Array, mode: str = "elementwise"
    ) -> None:
        """The mean to subtract, an array or the .npy file that has it. ``mode``: ``elementwise``, or
        ``channel`` for the mean of each channel. Raises RuntimeError for other modes."""
        mean = np.load(mean_f) if isinstance(mean_f, (str, os.PathLike)) else mean_f
        if mode not in ("elementwise", "channel"):
            raise PycaffeError(f"set_mean: mode {mode!r}, expected elementwise or channel")
        _transformer(self).set_mean(input_, mean.mean(1).mean(1) if mode == "channel" else mean)

    def set_input_scale(self, input_: str, scale: float) -> None:
        _transformer(self).set_input_scale(input_, scale)

    def set_raw_scale(self, input_: str, scale: float) -> None:
        _transformer(self).set_raw_scale(input_, scale)

    def set_channel_swap(self, input_: str, order: Sequence[int]) -> None:
        _transformer(self).set_channel_swap(input_, order)

    def preprocess(self, input_name: str, input_: Array) -> io.Floats:
        """An image (H, W, K) as the net takes it, float32 (K, H, W)."""
        return _transformer(self).preprocess(input_name, input_)

    def deprocess(self, input_name: str, input_: Array) -> Array:
        """Back to an image."""
        return _transformer(self).deprocess(input_name, input_)


def _transformer(net: Any) -> io.Transformer:
    """The net's own, which classifiers have from the start."""
    if "transformer" not in vars(net):
        net.transformer = io.Transformer({name: net.blobs[name].dims for name in net.inputs})
        for name in net.inputs:
            if len(net.blobs[name].dims) == 4:
                net.transformer.set_transpose(name, (2, 0, 1))
    transformer: io.Transformer = net.transformer
    return transformer


def _set_phase(net: Any, phase: int) -> None:
    """Make the net again for another phase, in the same object."""
    from vggrepro.pycaffe.net import Net

    if net.rules.phase == ("TRAIN", "TEST")[phase]:
        return
    if "_made_of" not in vars(net):
        raise PycaffeError("set_phase_train and set_phase_test: the nets of a solver keep their phase")
    again = Net(phase=phase, **net._made_of)
    again.share_with(net)
    for name in again.inputs:
        again.blobs[name].reshape(*net.blobs[name].dims)
        again.blobs[name].data[...] = net.blobs[name].data
    vars(net).update(vars(again))
