"""``caffe.draw``: a net as a picture. Needs the extra ``draw`` (pydot), and Graphviz's program ``dot``."""

from __future__ import annotations

from typing import Any

from vggrepro.caffe.messages import NetParameter
from vggrepro.caffe.state import filter_net
from vggrepro.pycaffe.errors import as_runtime_error
from vggrepro.pycaffe.proto import caffe_pb2
from vggrepro.system.atomic import replacing
from vggrepro.system.extras import extra

LAYER_STYLE_DEFAULT = {"shape": "record", "fillcolor": "#6495ED", "style": "filled"}
NEURON_LAYER_STYLE = {"shape": "record", "fillcolor": "#90EE90", "style": "filled"}
BLOB_STYLE = {"shape": "octagon", "fillcolor": "#E0E0E0", "style": "filled"}

COLOURS = {
    "Convolution": "#FF5050",
    "Deconvolution": "#FF5050",
    "Pooling": "#FF9900",
    "InnerProduct": "#CC33FF",
}
LEARNING = ("Convolution", "Deconvolution", "InnerProduct")


def get_pooling_types_dict() -> dict[int, str]:
    """The names of pooling methods by number."""
    values = caffe_pb2.PoolingParameter.DESCRIPTOR.enum_types_by_name["PoolMethod"].values
    return {value.number: value.name for value in values}


def get_edge_label(layer: Any) -> str:
    """What stands at the edge to a layer's tops: its batch or number of outputs, or empty quotes."""
    if layer.type == "Data":
        return f"Batch {layer.data_param.batch_size}"
    if layer.type in ("Convolution", "Deconvolution"):
        return str(layer.convolution_param.num_output)
    if layer.type == "InnerProduct":
        return str(layer.inner_product_param.num_output)
    return '""'


def get_layer_lr_mult(layer: Any) -> tuple[float, float]:
    """The lr_mult of a learning layer's weights and biases. Raises ValueError for other types."""
    if layer.type not in LEARNING:
        raise ValueError(f"{layer.type} layers do not have a learning rate multiplier")
    if len(layer.param) > 2:
        raise ValueError(f"layer {layer.name!r}: {len(layer.param)} param, expected at most 2")
    weights, biases = [spec.lr_mult for spec in layer.param] + [1.0] * (2 - len(layer.param))
    return weights, biases


def get_layer_label(layer: Any, rankdir: str, display_lrm: bool = False) -> str:
    """A layer's name, type and window, in quotes; one below the other where the graph is horizontal."""
    separator = " " if rankdir in ("TB", "BT") else r"\n"
    kind = layer.type
    if layer.type == "Pooling":
        kind = f"{layer.type} {get_pooling_types_dict()[layer.pooling_param.pool]}"
    parts = [layer.name, f"({kind})"]
    if layer.type in ("Convolution", "Deconvolution", "Pooling"):
        kernel, stride, pad = _window(layer)
        parts += [f"kernel size: {kernel}", f"stride: {stride}", f"pad: {pad}"]
    if display_lrm and layer.type in LEARNING and any(get_layer_lr_mult(layer)):
        parts.append("lr mult: {:.1f}, {:.1f}".format(*get_layer_lr_mult(layer)))
    return f'"{separator.join(parts)}"'


def _window(layer: Any) -> tuple[int, int, int]:
    if layer.type == "Pooling":
        p = layer.pooling_param
        return p.kernel_size, p.stride, p.pad
    p = layer.convolution_param
    kernel, stride, pad = (
        values[0] if values else default
        for values, default in ((p.kernel_size, 1), (p.stride, 1), (p.pad, 0))
    )
    return kernel, stride, pad


def choose_color_by_layertype(layertype: str) -> str:
    """The colour of a layer's box."""
    return COLOURS.get(layertype, LAYER_STYLE_DEFAULT["fillcolor"])


def get_pydot_graph(
    caffe_net: Any,
    rankdir: str,
    label_edges: bool = True,
    phase: int | None = None,
    display_lrm: bool = False,
) -> Any:
    """The graph of a ``NetParameter``, with the layers of one ``phase`` or all. ``rankdir``: LR, TB or BT."""
    with as_runtime_error():
        pydot = extra("pydot", "draw", "drawing nets")
        net = NetParameter.FromString(caffe_net.SerializeToString())  # of the schema of scripts before
        net = net if phase is None else filter_net(net, phase=phase)
    graph = pydot.Dot(net.name or "Net", graph_type="digraph", rankdir=rankdir)
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str, str]] = []
    for layer in net.layer:
        name = f"{layer.name}_{layer.type}"
        in_place = len(layer.bottom) == 1 and list(layer.bottom) == list(layer.top)
        style = {**LAYER_STYLE_DEFAULT, "fillcolor": choose_color_by_layertype(layer.type)}
        label = get_layer_label(layer, rankdir, display_lrm)
        nodes[name] = pydot.Node(label, **(NEURON_LAYER_STYLE if in_place else style))
        for blob in (*layer.bottom, *layer.top):
            nodes.setdefault(f"{blob}_blob", pydot.Node(f'"{blob}"', **BLOB_STYLE))
        edges += [(f"{blob}_blob", name, '""') for blob in layer.bottom]
        edges += [
            (name, f"{blob}_blob", get_edge_label(layer) if label_edges else '""') for blob in layer.top
        ]
    for node in nodes.values():
        graph.add_node(node)
    for source, target, label in edges:
        graph.add_edge(pydot.Edge(nodes[source], nodes[target], label=label))
    return graph


def draw_net(
    caffe_net: Any, rankdir: str, ext: str = "png", phase: int | None = None, display_lrm: bool = False
) -> bytes:
    """The picture of a net, as the bytes of a file with the extension ``ext``."""
    picture: bytes = get_pydot_graph(caffe_net, rankdir, phase=phase, display_lrm=display_lrm).create(
        format=ext
    )
    return picture


def draw_net_to_file(
    caffe_net: Any, filename: str, rankdir: str = "LR", phase: int | None = None, display_lrm: bool = False
) -> None:
    """Write the picture of a net; the file's name tells the format (``.dot``: text)."""
    picture = draw_net(caffe_net, rankdir, filename.rpartition(".")[2], phase, display_lrm)
    with replacing(filename) as file:
        file.write(picture)
