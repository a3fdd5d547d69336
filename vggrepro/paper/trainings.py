"""The training runs behind Table 3, and that of section 4.1's shallow net: ``--preset D:384``.

What section 3.1 says: net A is trained from random weights; deeper nets begin with A's first four
convolutions and its fully connected layers; S = 384 begins with the weights of S = 256 and a rate of 10^-3;
a jittered net, S from [256; 512], fine-tunes all layers of the same configuration's S = 384 net.

Inferred, since the paper does not say it: A-LRN and the shallow net begin at random too; the jittered run
has a rate of 10^-3, as the other run that begins with trained weights; and all runs have one schedule,
plateaus with three drops and 370K iterations, which section 3.1 gives for training in general.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from vggrepro.errors import SolverError, did_you_mean
from vggrepro.paper.nets import SHALLOW, NetName, canonical, training_scale
from vggrepro.text_table import aligned

PresetStart = Literal["random", "net A", "trained"]
"""The weights that a run begins with: random ones, layers of net A, or all weights of another preset."""

Scheme = Literal["prototxt", "paper", "variance", "glorot", "msra"]
"""How weights are drawn: as the net says, as section 3.1 prints it, or by a rule of its own."""

Learning = Literal["all", "fc"]
"""Which layers learn: the submission's jittered net learned in its fully connected ones (section 4.4)."""

PRESET_SCHEME: Scheme = "glorot"
"""How the presets draw what they do not copy."""

VARIANCE_STD = 0.1
"""The square root of the paper's variance of 10^-2."""

FIRST_RATE = 1e-2
"""The rate of section 3.1, for batches of ``BATCH`` images."""

BATCH = 256

FINE_TUNING_RATE = 1e-3


@dataclass(frozen=True)
class Preset:
    """One row of Table 3, or the shallow net: a configuration and its training scale S, from ``smallest[0]``
    to ``smallest[1]`` pixels.

    ``start`` says which weights the run begins with: random ones, layers of net A (``--init-from``), or all
    weights of the net that ``trained_from`` names (``--weights``).
    """

    config: str
    smallest: tuple[int, int]
    start: PresetStart
    trained_from: str | None = None

    @property
    def name(self) -> str:
        return str(NetName(self.config, training_scale(*self.smallest)))

    def settings(self, batch: int = BATCH) -> list[str]:
        """Fields of the solver that differ from the configuration's own file, written as in that file, for
        ``batch`` images an iteration.

        With fewer than ``BATCH`` images the rate is lower in proportion, because one image then counts for
        more: with 4 images and a rate of 10^-2 the loss of net A rises from the first update on.
        """
        stem = re.sub(r"\W", "_", self.name).lower()
        prefix = f'snapshot_prefix: "vgg_{stem}"'
        if self.start != "trained" and batch >= BATCH:
            return [prefix]  # the file's own rate
        rate = FINE_TUNING_RATE if self.start == "trained" else FIRST_RATE
        return [prefix, f"base_lr: {rate * min(batch, BATCH) / BATCH:g}"]

    @property
    def needs(self) -> str:
        """What must be given besides the data."""
        if self.start == "trained":
            return f"--weights, the caffemodel of {self.trained_from}"
        return "--init-from, the caffemodel of A:256" if self.start == "net A" else "nothing"


def _rows() -> list[Preset]:
    rows = [Preset("A", (256, 256), "random"), Preset("A-LRN", (256, 256), "random")]
    rows.append(Preset("B", (256, 256), "net A"))
    for config in ("C", "D", "E"):
        rows.append(Preset(config, (256, 256), "net A"))
        rows.append(Preset(config, (384, 384), "trained", f"{config}:256"))
        rows.append(Preset(config, (256, 512), "trained", f"{config}:384"))
    rows.append(Preset(SHALLOW, (256, 256), "random"))
    return rows


PRESETS = {preset.name: preset for preset in _rows()}


def find_preset(text: str) -> Preset:
    """A preset by name; ``D:[256;512]`` and ``D:256-512`` are ``D:256;512``. Raises SolverError."""
    name = canonical(text)
    if name not in PRESETS:
        raise SolverError(
            f"no preset {text!r}: expected one of {', '.join(PRESETS)}" + did_you_mean(text, PRESETS)
        )
    return PRESETS[name]


def list_presets() -> str:
    """All presets, for ``--list-presets``."""
    rows = [[p.name, f"{p.config}/solver.prototxt, needs {p.needs}"] for p in PRESETS.values()]
    return "\n".join(f"  {line}" for line in aligned(rows))
