"""Published errors of VGG nets measured by others on ILSVRC-2012 validation, in percent.

Nearly all are centre crops: no dense evaluation by a third party has been published. Accuracies are given
here as 100 minus the published figure. "original" are the authors' weights, "retrained" are others'.
"""

from __future__ import annotations

from dataclasses import dataclass

from vggrepro.paper.nets import JITTERED


@dataclass(frozen=True)
class Replication:
    """One published measurement. ``config`` is the paper's letter, ``protocol`` as on the command line,
    ``scales`` are the smallest sides Q in pixels; ``detail`` is what else there is to say."""

    config: str
    source: str
    top1: float | None
    top5: float | None
    weights: str = "original"
    protocol: str = "centre"
    scales: tuple[int, ...] = (256,)
    detail: str = ""

    @property
    def what(self) -> str:
        """Weights and protocol in words."""
        scales = ",".join(map(str, self.scales))
        return f"{self.weights} weights, {self.protocol} Q={scales} {self.detail}".strip()

    def fits(self, net: str, protocol: str, scales: tuple[int, ...]) -> bool:
        """Whether it measured the same: ``net`` under ``protocol`` at ``scales``.

        A net's name is a configuration with the training scale, "D:256", or alone, "D", if nothing is known
        of its training. The authors' published weights were trained with scale jittering; others' trainings
        have no training scale of the paper.
        """
        config, _, training = net.partition(":")
        trained_alike = not training or (self.weights == "original" and training == JITTERED)
        same = (config, protocol, sorted(scales)) == (self.config, self.protocol, sorted(self.scales))
        return same and trained_alike


REPLICATIONS: tuple[Replication, ...] = (
    Replication("D", "authors' model page", None, 8.1, protocol="dense", scales=(384,)),
    Replication("D", "authors' model page", None, 7.5, protocol="dense", scales=(256, 384, 512)),
    Replication("E", "authors' model page", None, 8.0, protocol="dense", scales=(384,)),
    Replication("E", "authors' model page", None, 7.5, protocol="dense", scales=(256, 384, 512)),
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


def replications_of(net: str, protocol: str, scales: tuple[int, ...]) -> tuple[Replication, ...]:
    """The published measurements of a net (see :meth:`Replication.fits`) under a protocol at these scales."""
    return tuple(r for r in REPLICATIONS if r.fits(net, protocol, scales))
