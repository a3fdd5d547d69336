"""A network as the protocols see it: pictures of one size in, class scores out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggrepro.data.arrays import Singles
from vggrepro.errors import NetError, ProtocolError, WeightsError
from vggrepro.evaluation.presets import NetFiles
from vggrepro.evaluation.protocols import Stream
from vggrepro.graph.forward import build_forward
from vggrepro.graph.metadata import file_sha256
from vggrepro.net import load_net
from vggrepro.net.net import Net
from vggrepro.net.transforms.fully_convolutional import fully_convolutional
from vggrepro.runtime.session import Session

Mean = tuple[float, float, float]
"""The mean pixel that is subtracted: blue, green, red, 0-255."""


@dataclass(frozen=True)
class Network:
    """A loaded net with what evaluation needs to know. ``crop`` is the side of its square input in pixels,
    ``blob`` what it answers with, ``channels`` how many numbers that is (the classes, for scores)."""

    name: str
    net: Net
    input: str
    crop: int
    blob: str
    channels: int
    mean: Mean
    weights_sha256: str
    prototxt_sha256: str

    def facts(self) -> dict[str, Any]:
        """What the numbers depend on besides the images, for manifests and results."""
        return {
            "weights_sha256": self.weights_sha256,
            "prototxt_sha256": self.prototxt_sha256,
            "mean_bgr": list(self.mean),
            "crop": self.crop,
            "blob": self.blob,
        }


def load_scores(files: NetFiles, mean: Mean, blob: str | None = None) -> Network:
    """Read a net that answers with class scores: ``blob``, or what is under its final softmax.

    Raises NetError and WeightsError as :func:`load`, and NetError for a blob of posteriors.
    """
    return _load(files, mean, lambda net: score_blob(net, blob))


def load(files: NetFiles, mean: Mean, blob: str) -> Network:
    """Read a net that answers with any ``blob`` of it.

    Raises NetError if the net does not take one picture or has no such blob, WeightsError if the file lacks
    weights of a layer (Caffe would go on with random ones).
    """
    return _load(files, mean, lambda _: blob)


def _load(files: NetFiles, mean: Mean, choose: Callable[[Net], str]) -> Network:
    net = load_net(files.deploy, files.weights)
    _check_complete(net, files.weights)
    name, crop = _picture_input(net)
    blob = choose(net)
    if blob not in net.blobs:
        raise NetError(f"net {net.name!r}: no blob {blob!r}; it has {', '.join(net.blobs)}")
    shape = net.shapes[net.blobs[blob]]
    if len(shape) not in (2, 4):
        raise NetError(f"net {net.name!r}: blob {blob!r} has shape {shape}, expected (N, C) or (N, C, H, W)")
    return Network(
        name=files.name,
        net=net,
        input=name,
        crop=crop,
        blob=blob,
        channels=shape[1],
        mean=mean,
        weights_sha256=file_sha256(files.weights),
        prototxt_sha256=file_sha256(files.deploy),
    )


def _check_complete(net: Net, weights: Path) -> None:
    lacking = [p.name for p in net.layers if any(use.owner not in net.loaded for use in p.params)]
    if lacking:
        raise WeightsError(f"{weights}: no weights for layer {', '.join(lacking)} of net {net.name!r}")


def _picture_input(net: Net) -> tuple[str, int]:
    pictures = {name: shape for name, shape in net.inputs.items() if len(shape) == 4 and shape[1] == 3}
    if len(net.inputs) != 1 or not pictures:
        raise NetError(f"net {net.name!r}: inputs {dict(net.inputs)}; expected one (N, 3, side, side)")
    ((name, shape),) = pictures.items()
    if shape[2] != shape[3]:
        raise NetError(f"net {net.name!r}: input {name!r} is {shape[2]}x{shape[3]}, expected a square")
    return name, shape[2]


def score_blob(net: Net, asked: str | None = None) -> str:
    """The class scores: ``asked``, or the blob under the final softmax, or the only output if none follows
    it. Raises NetError for a blob that a softmax has made, whose softmax would be taken again."""
    if asked is not None:
        if any(p.message.type == "Softmax" and asked in p.message.top for p in net.layers):
            raise NetError(f"net {net.name!r}: blob {asked!r} holds posteriors, expected class scores")
        return asked
    if len(net.outputs) != 1:
        raise NetError(
            f"net {net.name!r}: outputs {', '.join(net.outputs)}; expected one, as deploy nets have"
        )
    (output,) = net.outputs
    last = next(placed.message for placed in reversed(net.layers) if output in placed.message.top)
    if last.type != "Softmax":
        return output
    if last.bottom[0] == output:
        raise NetError(f"layer {last.name!r}: works in place; the scores under it need a blob of their own")
    return str(last.bottom[0])


def check_scales(network: Network, streams: Sequence[Stream]) -> None:
    """Raise ProtocolError for scales smaller than the crop, ShapeError for those that the fully convolutional
    net cannot take."""
    for stream in streams:
        if stream.views != "dense" and stream.scale < network.crop:
            raise ProtocolError(
                f"scale {stream.scale}: smaller than {network.name}'s crops of {network.crop} pixels"
            )
    dense = sorted({stream.scale for stream in streams if stream.views == "dense"})
    if dense:
        shape = (1, 3, dense[0], dense[0])
        fully_convolutional(network.net).reshape({network.input: shape})


class Scorer:
    """A network on a device. ``convolutional`` makes it take any size and answer with maps (N, C, h, w)."""

    def __init__(self, network: Network, device: str, *, convolutional: bool, threads: int = 0) -> None:
        self._network = network
        graph = build_forward(network.net, outputs=[network.blob], fully_convolutional=convolutional)
        self._session = Session(graph, device, threads=threads, repeatable=True)

    def __call__(self, batch: Singles) -> Singles:
        """Scores (N, C) or (N, C, h, w) of pictures (N, 3, H, W), BGR 0-255 less the mean."""
        answers = self._session.run({self._network.input: batch}, [self._network.blob])
        result: Singles = answers[self._network.blob]
        return result
