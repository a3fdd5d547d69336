"""A net that shall be converted, and what is amiss with it: files in the wrong order, missing weights,
losses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vggrepro.caffe.text import is_text
from vggrepro.errors import OptionError, WeightsError
from vggrepro.net import Net
from vggrepro.net.requirements import layers_without_weights
from vggrepro.net.transforms.deploy import judges_predictions
from vggrepro.system.caller_warning import warn_caller

if TYPE_CHECKING:
    from vggrepro.graph.embedded_preprocessing import Preprocessing


@dataclass(frozen=True)
class Conversion:
    """A net before and after BatchNorm is folded, and how a graph is made of it."""

    original: Net
    net: Net
    fully_conv: bool
    fixed: bool
    preprocessing: Preprocessing | None = None


def check_order(prototxt: str, caffemodel: str) -> None:
    """Raises OptionError where the two files were given for one another."""
    there = Path(prototxt).is_file() and Path(caffemodel).is_file()
    if there and not is_text(prototxt) and is_text(caffemodel):
        raise OptionError(
            f"{prototxt}: a binary file, and {caffemodel} a text: expected the prototxt first, then the"
            " caffemodel"
        )


def warn_of_training(net: Net, file: str) -> None:
    """Say what a deploy net would not have: losses, accuracies, and the labels that they read."""
    judges = [net_layer for net_layer in net.layers if judges_predictions(net_layer)]
    if not judges:
        return
    labels = {p.bottoms[index] for p in judges for index in p.layer.blind_bottoms if index < len(p.bottoms)}
    read = [blob for blob in net.inputs if net.blobs.get(blob, blob) in labels]
    with_labels = f" and the input {', '.join(read)}" if read else ""
    names = ", ".join(net_layer.name for net_layer in judges)
    warn_caller(f"{file}: a training net: the model keeps {names}{with_labels}; --deploy leaves them out")


def changed(net: Net, *, deploy: bool, no_softmax: bool, opencv_names: bool) -> Net:
    """The net after the changes that are asked for. Raises NetError for one that cannot be made."""
    if deploy:
        from vggrepro.net.transforms.deploy import to_deploy

        net = to_deploy(net)
    if no_softmax:
        from vggrepro.net.transforms.without_softmax import without_softmax

        net = without_softmax(net)
    if opencv_names:
        from vggrepro.net.transforms.opencv_names import with_opencv_names

        net = with_opencv_names(net)
    return net


def without_custom_ends(net: Net, outputs: Collection[str] | None) -> Net:
    """The part of a net with custom nodes, which cannot be run, that the outputs that are asked for depend
    on; any other net, and one without some of these outputs, as it is."""
    if outputs is None or not net.blobs.keys() >= set(outputs):
        return net
    from vggrepro.net.custom import Custom
    from vggrepro.net.transforms.needed import needed_for

    custom = any(isinstance(placed.layer, Custom) for placed in net.layers)
    return needed_for(net, outputs) if custom else net


def with_folded_batchnorm(net: Net) -> Net:
    """The net with BatchNorm and Scale inside the convolutions before them."""
    from vggrepro.net.transforms.fold_batchnorm import fold_batchnorm

    return fold_batchnorm(net)


def require_weights(net: Net, file: str) -> None:
    """Raises WeightsError that names the layers whose weights the file does not have."""
    missing = layers_without_weights(net)
    if missing:
        raise WeightsError(
            f"{file}: no weights for layer(s) {', '.join(missing)};"
            " --allow-missing keeps their fillers' values"
        )
