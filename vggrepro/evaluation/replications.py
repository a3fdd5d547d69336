"""Published errors of VGG nets measured by others on ILSVRC-2012 validation, in percent.

Nearly all are centre crops: no dense evaluation by a third party has been published. Accuracies are given
here as 100 minus the published figure. "original" are the authors' weights, "retrained" are others'.
"""

from __future__ import annotations

from dataclasses import dataclass

from vggrepro.evaluation.tables import Tested


@dataclass(frozen=True)
class Replication:
    """One published measurement. ``config`` is the paper's letter; ``protocol`` as on the command line,
    with "dense, Q=384" style detail in ``detail``."""

    config: str
    source: str
    weights: str
    protocol: str
    top1: float | None
    top5: float | None
    detail: str = ""

    @property
    def what(self) -> str:
        """Weights and protocol in words."""
        return f"{self.weights} weights, {self.protocol} {self.detail}".strip()


def _original(config: str, source: str, top1: float | None, top5: float | None, **more: str) -> Replication:
    return Replication(
        config, source, "original", more.get("protocol", "centre"), top1, top5, more.get("detail", "")
    )


def _retrained(config: str, source: str, top1: float, top5: float, detail: str = "") -> Replication:
    return Replication(config, source, "retrained", "centre", top1, top5, detail)


REPLICATIONS: tuple[Replication, ...] = (
    _original("D", "authors' model page", None, 8.1, protocol="dense", detail="Q=384"),
    _original("D", "authors' model page", None, 7.5, protocol="dense", detail="Q=256,384,512"),
    _original("E", "authors' model page", None, 8.0, protocol="dense", detail="Q=384"),
    _original("E", "authors' model page", None, 7.5, protocol="dense", detail="Q=256,384,512"),
    _original("D", "MatConvNet", 28.5, 9.9),
    _original("E", "MatConvNet", 28.7, 9.9),
    _original("D", "keras-applications", 28.732, 9.950),
    _original("E", "keras-applications", 28.744, 10.012),
    _original("D", "keras-applications", None, 8.834, protocol="tencrop"),
    _original("E", "keras-applications", None, 8.774, protocol="tencrop"),
    _original("D", "TF-slim", 28.5, 10.2),
    _original("E", "TF-slim", 28.9, 10.2),
    _original("D", "OpenVINO", 29.032, 10.122),
    _original("D", "He et al. (ResNet, Table 3)", 28.07, 9.33, protocol="tencrop"),
    _retrained("A", "torchvision, re-tested by timm", 30.950, 11.370),
    _retrained("B", "torchvision, re-tested by timm", 30.072, 10.754),
    _retrained("D", "torchvision, re-tested by timm", 28.408, 9.618),
    _retrained("E", "torchvision, re-tested by timm", 27.624, 9.124),
    _retrained("A", "torchvision, weights of 2017", 32.14, 12.12),
    _retrained("B", "torchvision, weights of 2017", 31.04, 11.40),
    _retrained("D", "torchvision, weights of 2017", 29.11, 10.17),
    _retrained("E", "torchvision, weights of 2017", 28.42, 9.69),
    _retrained("D", "MatConvNet", 28.3, 9.5, detail="with batch normalisation"),
)


def beside(tested: tuple[Tested, ...]) -> tuple[Replication, ...]:
    """Replications of a single net's configuration; none for ensembles, which nobody has replicated."""
    configs = {t.net.config for t in tested}
    if len(tested) != 1:
        return ()
    return tuple(r for r in REPLICATIONS if r.config in configs)
