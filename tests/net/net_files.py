"""Small nets for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vggrepro.net import Net, load_net


def net_of(tmp_path: Path, text: str, *, phase: str = "TEST", seed: int = 0) -> Net:
    """A net of this text whose parameters are all random, biases and statistics too."""
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    net = load_net(path, phase=phase)
    rng = np.random.default_rng(seed)
    return net.with_params(
        {
            use.key: rng.uniform(0.5, 1.5, use.definition.shape).astype(np.float32)
            if use.definition.statistic
            else (rng.standard_normal(use.definition.shape, np.float32) * 0.3)
            for use in net.param_uses
        }
    )


def image(*shape: int, name: str = "data") -> str:
    dims = " ".join(f"dim: {d}" for d in shape)
    return f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}\n'


def layer(name: str, kind: str, bottoms: str, top: str = "", more: str = "") -> str:
    """``bottoms`` and ``top`` hold names with spaces between; a layer's top has its name by default."""
    wires = [f'bottom: "{b}"' for b in bottoms.split()] + [f'top: "{t}"' for t in (top or name).split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(wires)} {more} }}\n'


def noise(shapes: Mapping[str, tuple[int, ...]], seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
