"""docs/layers.md says what the registry says; run as a script, this module writes it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from vggrepro.caffe.messages import LayerParameter
from vggrepro.layers.base import Layer
from vggrepro.layers.registry import known_types, layer_class

PAGE = Path(__file__).parents[2] / "docs" / "layers.md"

INTRODUCTION = """# Layers

Every layer type that nets may have. `PYTHONPATH=. python tests/layers/test_catalogue.py` makes this page of
what the layers' modules in `vggrepro/layers/` say first. There the rules stand, with all that departs from
Caffe, marked `DEVIATION:`.

**Gradient**: whether one can be taken through the layer; data layers become inputs of the graph. The backward
passes of BoxAnnotatorOHEM, HDF5Output, PriorBox, Proposal, SimplerNMS, AnchorTargetLayer,
ProposalTargetLayer, OHEMDataLayer, ProposalTarget, Grid, MatWrite, FLOWriter and Silence give nothing, in
Caffe as here, and neither does HardMining's. A gradient that is needed through a layer without one is an
error.
"""

FORKS = """## From forks

Not from BVLC Caffe: the layers that published models of forks use most, each with the rules of the fork that
is named. BVLC's layers are compared with Caffe's own outputs; these are compared with a second implementation
in float64. Parameters are known by their names in prototxt; field numbers differ from fork to fork.

By ONNX Runtime's own list one operator has no CUDA kernel, and runs on the host: NonMaxSuppression, of
DetectionOutput, Proposal, SimplerNMS, BoxOutput, BoxGroupOutput, FrcnnOutput, OHEMDataLayer and
EvalDetection.
(ROIPooling's MaxRoiPool has none either: a graph for CUDA does without it, written files have it.) Proposal,
AnchorTargetLayer, ProposalTargetLayer, OHEMDataLayer and EuclideanLossLayer stand in for the Python layers of
the modules rpn.proposal_layer, rpn.anchor_target_layer, rpn.proposal_target_layer, roi_data_layer.layer and
pyloss. Any type that is not here is an error that names it, unless custom nodes are allowed.

Where several forks have layers of one name, a net's fields tell which is meant. Where they do not, `--fork
NAME` (`load_net(fork=...)`) does: `vggrepro/net/forks.py` has the names, and what each means.
"""

ASIDE = re.compile(r" ?\([^()]*(?:layer|not from BVLC Caffe)[^()]*\)")


def page() -> str:
    layers = [layer_class(name) for name in known_types()]
    bvlc = [layer for layer in layers if layer.origin == Layer.origin]
    forks = [layer for layer in layers if layer not in bvlc]
    return "\n".join(
        [INTRODUCTION, "## From BVLC Caffe\n", *table(bvlc, ()), "", FORKS, *table(forks, ("source",)), ""]
    )


def table(layers: list[type[Layer]], source: tuple[str, ...]) -> list[str]:
    """The rows of some layers; ``source`` heads the column that tells whose they are, if there is one."""
    columns = ("type", *source, "gradient", "notes")
    rows = [(layer.type, *(layer.origin for _ in source), gradient(layer), notes(layer)) for layer in layers]
    head, *body = [f"| {' | '.join(row)} |" for row in (columns, *rows)]
    return [head, "|---" * len(columns) + "|", *body]


def gradient(layer: type[Layer]) -> str:
    return "input" if layer.source else "yes" if layer.has_gradient else "no"


def notes(layer: type[Layer]) -> str:
    """What the layer's module says of it first, without its name and whose it is."""
    text = sys.modules[layer.__module__].__doc__ or ""
    first = ASIDE.sub("", " ".join(text.split("\n\n")[0].split())).removeprefix(f"{layer.type}: ")
    return first.replace("``", "`").removesuffix(".")


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page()


def test_layers_of_forks_say_so() -> None:
    """Those, and no others; a fork's parameters are its own messages."""
    for name in known_types():
        layer = layer_class(name)
        text = " ".join(f"{sys.modules[layer.__module__].__doc__}".split())
        assert ("not from BVLC Caffe" in text) == (layer.origin != Layer.origin), name
        assert notes(layer), name
        assert "|" not in notes(layer)  # which parts the columns
    origins = {"Permute": "SSD", "Upsample": "SegNet; YOLO forks", "ReLU": "BVLC Caffe"}
    assert {name: layer_class(name).origin for name in origins} == origins
    assert LayerParameter.DESCRIPTOR.fields_by_name["permute_param"].number == 202


if __name__ == "__main__":
    PAGE.write_text(page())
