"""The weight files that a training begins with: which there are, and what of them the nets take."""

from __future__ import annotations

import os
from collections.abc import Sequence

from vggrepro.caffe.weights import read_weights
from vggrepro.errors import WeightsError
from vggrepro.net import Net
from vggrepro.net.load import warn_of_ignored
from vggrepro.training.definition import Definition, weight_names

PathLike = str | os.PathLike[str]


def weight_files(definition: Definition, given: PathLike | Sequence[PathLike] | None) -> list[PathLike]:
    """The files that a caller gives (a string may name several, with commas between them) or, without any,
    those that the solver itself names. Raises SolverError for an empty name."""
    if given is None:
        named = [name for text in definition.param.weights for name in weight_names(text)]
        return [definition.locate(name) for name in named]
    items = [given] if isinstance(given, (str, os.PathLike)) else given
    return [name for item in items for name in (weight_names(item) if isinstance(item, str) else [item])]


def check_weight_files(files: Sequence[PathLike], definition: Definition, net: Net) -> None:
    """Warn of layers of the files that neither ``net`` nor a net in phase TEST has. DEVIATION: raises
    WeightsError for a file of which nothing is copied; Caffe goes on."""
    if not files:
        return
    messages = [net.message, *definition.test_messages()]
    names = {layer.name for message in messages for layer in message.layer}
    for file in files:
        path = os.fspath(file)
        saved = read_weights(path)
        with_blobs = [layer.name for layer in saved if layer.blobs]
        if not names.intersection(with_blobs):
            raise WeightsError(
                f"{path}: nothing to copy: no net of {definition.path} has a layer of a name in it"
                f" ({', '.join(with_blobs) or 'it has no layer with weights'})"
            )
        warn_of_ignored(path, saved, names)
