"""Which gradients the backward walk computes: Caffe's need-backward rules (``Net::Init``)."""

from __future__ import annotations

from collections.abc import Sequence

from vggrepro.layers.base import Needed
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer


def needed_gradients(net: Net, *, params: bool, values: frozenset[str]) -> tuple[Needed, ...]:
    """The gradients that each layer must compute.

    A bottom needs a gradient if something before it learns, unless ``propagate_down`` says
    otherwise; a parameter if its lr_mult is not 0. ``force_backward`` overrides both. ``params`` says
    whether parameters' gradients are wanted at all, ``values`` whose gradients are wanted besides.
    """
    force = net.message.force_backward
    learned: set[str] = set()  # what depends on a parameter that learns
    needs: set[str] = set(values)  # that, and what depends on a wanted value
    needed: list[Needed] = []
    for net_layer in net.layers:
        bottoms = tuple(
            _propagates(net_layer, index, value in learned)
            or (
                index not in net_layer.layer.blind_bottoms
                and (force or _propagates(net_layer, index, value in needs))
            )
            for index, value in enumerate(net_layer.bottoms)
        )
        learns = tuple(
            params and not use.definition.statistic and (force or use.needs_gradient)
            for use in net_layer.params
        )
        needed.append(Needed(bottoms, learns))
        if any(learns) or any(bottoms):
            needs.update(net_layer.tops)
        if any(learns) or any(value in learned for value in net_layer.bottoms):
            learned.update(net_layer.tops)
    return _prune(net, needed, values)


def _propagates(net_layer: NetLayer, index: int, needs: bool) -> bool:
    """``propagate_down`` decides where it is given: false cuts the branch, true forces it."""
    return net_layer.propagate_down[index] if net_layer.propagate_down else needs


def _prune(net: Net, needed: Sequence[Needed], values: frozenset[str]) -> tuple[Needed, ...]:
    """Leave out bottom gradients that end nowhere: no parameter and no wanted value lies before."""
    reaches: set[str] = set(values)
    pruned = []
    for net_layer, flags in zip(net.layers, needed, strict=True):
        bottoms = tuple(
            wanted and (value in reaches)
            for wanted, value in zip(flags.bottoms, net_layer.bottoms, strict=True)
        )
        pruned.append(Needed(bottoms, flags.params))
        if any(bottoms) or any(flags.params):
            reaches.update(net_layer.tops)
    return tuple(pruned)
