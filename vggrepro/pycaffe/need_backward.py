"""Which gradients a backward pass computes: the rules of Caffe's ``Net::Init``."""

from __future__ import annotations

from collections.abc import Sequence

from vggrepro.layers.base import Needed
from vggrepro.pycaffe.blob import Blob
from vggrepro.pycaffe.site import Site


def decide(sites: Sequence[Site], learns: Sequence[Sequence[bool]], *, force: bool) -> None:
    """Set ``needed`` and ``runs_backward`` of every site.

    A layer runs backward if something at or before it learns (``learns``: a flag for each parameter, whether
    its lr_mult is not 0) and if it contributes to a loss. A net without loss therefore has no backward pass,
    unless ``force`` (the net's force_backward) makes every layer run.
    """
    flags = _from_the_front(sites, learns)
    _from_the_back(sites, flags)
    for site, params in zip(sites, learns, strict=True):
        bottoms = flags[site]
        if force:
            site.runs_backward = True
            blind = site.layer.blind_bottoms
            bottoms = [flag or index not in blind for index, flag in enumerate(bottoms)]
            params = [True] * len(params)
        site.needed = Needed(tuple(bottoms), tuple(params))


def _from_the_front(sites: Sequence[Site], learns: Sequence[Sequence[bool]]) -> dict[Site, list[bool]]:
    """What depends on something that learns; ``propagate_down`` overrides it for a bottom."""
    needing: set[Blob] = set()
    flags: dict[Site, list[bool]] = {}
    for site, params in zip(sites, learns, strict=True):
        given = site.message.propagate_down
        flags[site] = list(given) if given else [blob in needing for blob in site.bottoms]
        site.runs_backward = any(params) or any(blob in needing for blob in site.bottoms)
        if site.runs_backward:
            needing.update(site.tops)
    return flags


def _from_the_back(sites: Sequence[Site], flags: dict[Site, list[bool]]) -> None:
    """What does not contribute to a loss needs no gradient; nor does what only skipped layers read."""
    under_loss: set[Blob] = set()
    skipped: set[Blob] = set()
    for site in reversed(sites):
        contributes, skips = False, True
        for top, weight in zip(site.tops, site.loss_weights, strict=True):
            contributes = contributes or weight != 0 or top in under_loss
            skips = skips and top in skipped
            if contributes and not skips:
                break
        if site.runs_backward and skips:
            site.runs_backward = False
            flags[site] = [False] * len(site.bottoms)
        if not contributes:
            site.runs_backward = False
        for index, blob in enumerate(site.bottoms):
            if contributes:
                under_loss.add(blob)
            else:
                flags[site][index] = False
            if not flags[site][index]:
                skipped.add(blob)
