"""The paper's nets: configurations (Table 1), names of trained nets, and where their prototxts are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SHALLOW = "B-5x5"
"""The shallow net of section 4.1: net B with one 5x5 convolution in place of each pair of 3x3 ones."""

CONFIGS = ("A", "A-LRN", "B", "C", "D", "E", SHALLOW)
"""The columns of Table 1, and the shallow net."""

PROTOTXT = Path(__file__).resolve().parents[1] / "prototxt"
"""The folder with the prototxts of every configuration: in a checkout a link to its ``prototxt/``, in an
installed package the files themselves."""

JITTERED = "256;512"
"""The paper's [256;512]: the smallest side S was drawn per training image from this range."""

PUBLISHED = {config: f"{config}:{JITTERED}" for config in ("D", "E")}
"""The nets whose weights the authors published, VGG_ILSVRC_16_layers and VGG_ILSVRC_19_layers."""


@dataclass(frozen=True)
class NetName:
    """A trained network of the paper: its configuration, and the training scale S in pixels, such as "256",
    or its range, such as "256;512"."""

    config: str
    scale: str

    def __str__(self) -> str:
        return f"{self.config}:{self.scale}"


def training_scale(least: int, most: int) -> str:
    """The scale of a :class:`NetName` whose S was drawn from ``least`` to ``most`` pixels."""
    return str(least) if least == most else f"{least};{most}"


def canonical(name: str) -> str:
    """A name with its range as the tables here spell it: ``D:[256;512]`` and ``D:256-512`` are
    ``D:256;512``. White space around the name is dropped."""
    return re.sub(r":\[?(\d+)[;-](\d+)\]?$", r":\1;\2", name.strip())


def deploy_prototxt(config: str, folder: Path = PROTOTXT) -> Path:
    """Where a configuration's net for evaluation is, in ``folder``."""
    return folder / config / "deploy.prototxt"


def solver_prototxt(config: str, folder: Path = PROTOTXT) -> Path:
    """Where a configuration's solver is, in ``folder``."""
    return folder / config / "solver.prototxt"
