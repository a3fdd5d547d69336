"""Published errors of VGG nets measured by others on ILSVRC-2012 validation, in percent.

Nearly all are centre crops: no dense evaluation by a third party has been published. Accuracies are given
here as 100 minus the published figure. "original" are the authors' weights, "retrained" are others'.
"""

from __future__ import annotations

from dataclasses import dataclass

from vggrepro.paper.tables import Tested


@dataclass(frozen=True)
class Replication:
    """One published measurement. ``config`` is the paper's letter, ``protocol`` as on the command line;
    ``detail`` is what else there is to say, as the scales."""

    config: str
    source: str
    top1: float | None
    top5: float | None
    weights: str = "original"
    protocol: str = "centre"
    detail: str = ""

    @property
    def what(self) -> str:
        """Weights and protocol in words."""
        return f"{self.weights} weights, {self.protocol} {self.detail}".strip()


REPLICATIONS: tuple[Replication, ...] = (
    Replication("D", "authors' model page", None, 8.1, protocol="dense", detail="Q=384"),
    Replication("D", "authors' model page", None, 7.5, protocol="dense", detail="Q=256,384,512"),
    Replication("E", "authors' model page", None, 8.0, protocol="dense", detail="Q=384"),
    Replication("E", "authors' model page", None, 7.5, protocol="dense", detail="Q=256,384,512"),
    Replication("D", "MatConvNet", 28.5, 9.9),
    Replication("E", "MatConvNet", 28.7, 9.9),
    Replication("D", "keras-applications", 28.732, 9.950),
    Replication("E", "keras-applications", 28.744, 10.012),
    Replication("D", "keras-applications", None, 8.834, protocol="tencrop"),
    Replication("E", "keras-applications", None, 8.774, protocol="tencrop"),
    Replication("D", "TF-slim", 28.5, 10.2),
    Replication("E", "TF-slim", 28.9, 10.2),
    Replication("D", "OpenVINO", 29.032, 10.122),
    Replication("D", "He et al. (ResNet, Table 3)", 28.07, 9.33, protocol="tencrop"),
    Replication("A", "torchvision, re-tested by timm", 30.950, 11.370, "retrained"),
    Replication("B", "torchvision, re-tested by timm", 30.072, 10.754, "retrained"),
    Replication("D", "torchvision, re-tested by timm", 28.408, 9.618, "retrained"),
    Replication("E", "torchvision, re-tested by timm", 27.624, 9.124, "retrained"),
    Replication("A", "torchvision, weights of 2017", 32.14, 12.12, "retrained"),
    Replication("B", "torchvision, weights of 2017", 31.04, 11.40, "retrained"),
    Replication("D", "torchvision, weights of 2017", 29.11, 10.17, "retrained"),
    Replication("E", "torchvision, weights of 2017", 28.42, 9.69, "retrained"),
    Replication("D", "MatConvNet", 28.3, 9.5, "retrained", detail="with batch normalisation"),
)


def replications_of(tested: tuple[Tested, ...]) -> tuple[Replication, ...]:
    """The replications of the configuration that a row tests; none for ensembles, which nobody has
    replicated."""
    if len(tested) != 1:
        return ()
    return tuple(r for r in REPLICATIONS if r.config == tested[0].net.config)
