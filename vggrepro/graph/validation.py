"""The graph of a net that is tested while another is trained: parameters are inputs, so both share them."""

from __future__ import annotations

from vggrepro.emit import RuleSet
from vggrepro.errors import FixedShapeError, NetError, UnsupportedError
from vggrepro.graph.assembly import Outputs, assemble_graph
from vggrepro.graph.forward_pass import emit_forward
from vggrepro.graph.free_sizes import BATCH, FIXED, symbolic_dims
from vggrepro.graph.model import Graph
from vggrepro.graph.training_step import total_loss
from vggrepro.net.net import Net


def build_validation(
    net: Net, *, loss: bool = False, carried: bool = False, rules: RuleSet | None = "cpu"
) -> Graph:
    """A graph from the net's inputs and the parameters under their owners' keys to the net's outputs, and
    with ``loss`` to the whole loss too, by a set of rules. The number of samples is free
    where the layers allow it (:meth:`Graph.is_free`). States begin anew in each run, or are ``carried`` from
    one to the next. Raises NetError if the loss is asked for and nothing has a loss weight."""
    try:
        return _build(net, BATCH, rules, loss=loss, carried=carried)
    except (FixedShapeError, NetError, UnsupportedError):
        return _build(net, FIXED, rules, loss=loss, carried=carried)


def _build(net: Net, free: frozenset[int], rules: RuleSet | None, *, loss: bool, carried: bool) -> Graph:
    forward = emit_forward(net, symbolic_dims(net, free), rules)
    total = total_loss(forward) if loss else None
    owned = [use for use in net.param_uses if use.owner == use.key]
    return assemble_graph(forward, Outputs(total, list(net.outputs), following=carried), fed_params=owned)
