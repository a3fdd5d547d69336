"""How training begins: fillers in place of the prototxt's, and layers taken from a trained net (section 3.1).

The paper draws weights from a normal distribution with zero mean and "10^-2 variance", which is a standard
deviation of 0.1, and starts deeper nets from net A's layers. It adds that the initialisation of Glorot and
Bengio (2010) makes that unnecessary. With the printed variance the loss of net A is not a number after the
first update, so the presets draw Glorot and Bengio's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.caffe.messages import FillerParameter
from vggrepro.net.kinds import class_of, is_known
from vggrepro.paper.trainings import VARIANCE_STD, Scheme

PRETRAINED = ("conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8")
"""What section 3.1 takes from net A: its first four convolutions and the last three, fully connected layers.

By name, as Caffe copies layers, and the only reading that fits the shapes: the first four convolutions of
net B are conv1_1, conv1_2, conv2_1, conv2_2, of 64, 64, 128 and 128 channels, and A's have 64, 128, 256, 256.
"""


@dataclass(frozen=True)
class Fillers:
    """How weights of convolutions and fully connected layers are drawn; their biases are zero.

    ``prototxt`` leaves everything to the net. ``paper`` is the normal distribution that section 3.1 prints,
    of variance 10^-2; ``variance`` is a normal distribution with the standard deviation ``std``.
    ``glorot`` is uniform over +-sqrt(6 / (fan_in + fan_out)), the paper's reference's formula 16 (Caffe's
    "xavier" looks at fan_in alone unless told otherwise). ``msra`` is normal with variance 2 / fan_in.
    """

    scheme: Scheme = "prototxt"
    std: float = VARIANCE_STD

    def apply(self, net: Any) -> None:
        """Replace the fillers in a ``NetParameter``."""
        if self.scheme == "prototxt":
            return
        for definition in net.layer:
            fillers = class_of(definition).fillers(definition) if is_known(definition) else None
            if fillers is not None:
                weight, bias = fillers
                weight.CopyFrom(self._filler())
                bias.CopyFrom(FillerParameter(type="constant"))

    def _filler(self) -> Any:
        if self.scheme == "paper":
            return FillerParameter(type="gaussian", std=VARIANCE_STD)
        if self.scheme == "variance":
            return FillerParameter(type="gaussian", std=self.std)
        if self.scheme == "glorot":
            return FillerParameter(type="xavier", variance_norm=FillerParameter.AVERAGE)
        return FillerParameter(type="msra")


def describe_copy(path: str, copied: Sequence[str], layers: Sequence[str]) -> str:
    """One sentence: which of a net's ``layers`` with parameters were copied from ``path``, which were not."""
    rest = [name for name in layers if name not in copied]
    return f"{path}: copied {', '.join(copied)}; filled anew: {', '.join(rest) or 'nothing'}"
