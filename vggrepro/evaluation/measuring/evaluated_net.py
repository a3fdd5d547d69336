"""A net as the protocols see it: square pictures in; class scores, or another blob, out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.data.arrays import Singles
from vggrepro.data.mean_image import MeanImage
from vggrepro.errors import NetError, ProtocolError, WeightsError, did_you_mean
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet, Pipeline
from vggrepro.evaluation.net_files import NetFiles
from vggrepro.evaluation.protocols import Stream, log_posteriors
from vggrepro.graph.forward import build_forward
from vggrepro.graph.metadata import file_sha256
from vggrepro.net import load_net
from vggrepro.net.inspect import inspect
from vggrepro.net.net import Net
from vggrepro.net.requirements import layers_without_weights, picture_input
from vggrepro.net.transforms.fully_convolutional import fully_convolutional
from vggrepro.runtime.session import Session

MeanPixel = tuple[float, float, float]
"""The mean pixel that is subtracted: blue, green, red, 0-255."""

Mean = tuple[float, ...] | MeanImage
"""The mean pixel, with as many values as the network's input has channels, or a whole mean image."""

COLOURS = (3, 1)
"""Channels that the input of an evaluated net may have: a colour picture's, or a grey one's."""


@dataclass(frozen=True)
class EvaluatedNet:
    """A net with its weights, and what an evaluation needs to know of it.

    ``name`` is what results call it. ``input`` is the name of its input (N, colours, crop, crop), ``crop`` in
    pixels. ``blob`` is the blob that it is evaluated for: (N, channels) or (N, channels, H, W); for class
    scores ``channels`` is the number of classes. ``mean`` is subtracted from every pixel of its input.
    """

    name: str
    net: Net
    input: str
    crop: int
    blob: str
    channels: int
    mean: Mean
    weights_sha256: str
    prototxt_sha256: str
    colours: int = 3

    @property
    def parameters(self) -> int:
        """How many learned numbers the net has."""
        return inspect(self.net)[1].parameters

    def facts(self) -> dict[str, Any]:
        """What the blob's values depend on besides the images, ready for JSON."""
        return {
            "weights_sha256": self.weights_sha256,
            "prototxt_sha256": self.prototxt_sha256,
            **self._mean_facts(),
            "crop": self.crop,
            "blob": self.blob,
        }

    def _mean_facts(self) -> dict[str, Any]:
        if isinstance(self.mean, MeanImage):
            return {"mean_image_sha256": self.mean.sha256}
        return {"mean_bgr" if self.colours == 3 else "mean_grey": list(self.mean)}

    def pipeline(self, images: ImageSet, streams: Sequence[Stream], execution: Execution) -> Pipeline:
        """What shows the net the views of ``images`` that ``streams`` ask for."""
        return Pipeline(images, tuple(streams), self.crop, self.mean, execution, self.colours)


def load_classifier(files: NetFiles, mean: Mean, blob: str | None = None) -> EvaluatedNet:
    """Read a net to be evaluated for its class scores: ``blob``, or the blob under its final softmax.

    Raises NetError and WeightsError as :func:`load_network`, and NetError for a blob of posteriors.
    """
    return _load(files, mean, lambda net: score_blob(net, blob))


def load_network(files: NetFiles, mean: Mean, blob: str) -> EvaluatedNet:
    """Read a net to be evaluated for any one of its blobs.

    Raises NetError if the net does not take pictures alone or has no such blob, WeightsError if the file
    lacks weights of a layer (Caffe would go on with random ones).
    """
    return _load(files, mean, lambda _: blob)


def _load(files: NetFiles, mean: Mean, choose: Callable[[Net], str]) -> EvaluatedNet:
    net = load_net(files.deploy, files.weights)
    lacking = layers_without_weights(net)
    if lacking:
        raise WeightsError(f"{files.weights}: no weights for layer {', '.join(lacking)} of net {net.name!r}")
    picture = picture_input(net, COLOURS)
    colours = net.inputs[picture][1]
    blob = choose(net)
    if blob not in net.blobs:
        there = f"it has {', '.join(net.blobs)}{did_you_mean(blob, net.blobs)}"
        raise NetError(f"net {net.name!r}: no blob {blob!r}; {there}")
    shape = net.shapes[net.blobs[blob]]
    if len(shape) not in (2, 4):
        raise NetError(f"net {net.name!r}: blob {blob!r} has shape {shape}, expected (N, C) or (N, C, H, W)")
    return EvaluatedNet(
        name=files.name,
        net=net,
        input=picture,
        crop=net.inputs[picture][2],
        blob=blob,
        channels=shape[1],
        mean=_mean_of(mean, colours, files.name),
        weights_sha256=file_sha256(files.weights),
        prototxt_sha256=file_sha256(files.deploy),
        colours=colours,
    )


def _mean_of(mean: Mean, colours: int, name: str) -> Mean:
    """The mean with as many channels as the net's input has. Raises ProtocolError where it is not known."""
    if isinstance(mean, MeanImage):
        if mean.channels != colours:
            raise ProtocolError(
                f"{mean.source}: a mean image of {mean.channels} channels, but {name}'s input has {colours}"
            )
        return mean
    if len(mean) == colours:
        return mean
    if len(set(mean)) == 1:  # Caffe repeats a single mean_value for every channel
        return (mean[0],) * colours
    raise ProtocolError(
        f"{name}: its input has {colours} channel, but the mean pixel is {','.join(map(str, mean))};"
        " expected --mean of one value"
    )


def score_blob(net: Net, asked: str | None = None) -> str:
    """The name of the blob with the class scores: ``asked``, or the one under the final Softmax layer, or the
    only output of a net that does not end in one. Raises NetError for a blob that a Softmax layer has made,
    because the protocols take the softmax themselves."""
    if asked is not None:
        if any(p.layer.gives_posteriors and asked in p.message.top for p in net.layers):
            raise NetError(f"net {net.name!r}: blob {asked!r} holds posteriors, expected class scores")
        return asked
    if len(net.outputs) != 1:
        raise NetError(
            f"net {net.name!r}: outputs {', '.join(net.outputs)}; expected one, as deploy nets have"
            " (--score-blob BLOB says which has the class scores)"
        )
    (output,) = net.outputs
    last = next(layer for layer in reversed(net.layers) if output in layer.message.top)
    if not last.layer.gives_posteriors:
        return output
    scores = str(last.message.bottom[0])
    if scores == output:
        raise NetError(f"layer {last.name!r}: works in place; the scores under it need a blob of their own")
    return scores


def check_scales(network: EvaluatedNet, streams: Sequence[Stream]) -> None:
    """Raise ProtocolError for a scale of crops that is smaller than the net's crop, ShapeError for a scale of
    whole images that is too small for the fully convolutional net."""
    for stream in streams:
        if stream.view_kind != "dense" and stream.scale < network.crop:
            raise ProtocolError(
                f"scale {stream.scale}: smaller than {network.name}'s crops of {network.crop} pixels"
            )
    dense = sorted({stream.scale for stream in streams if stream.view_kind == "dense"})
    if dense:
        shape = (1, network.colours, dense[0], dense[0])
        fully_convolutional(network.net).reshape({network.input: shape})


class Scorer:
    """A net on a device. With ``convolutional`` its fully connected layers are convolutions, so that it takes
    pictures of any size and gives maps (N, C, h, w). ``threads`` are the CPU's, 0: all cores."""

    def __init__(self, network: EvaluatedNet, device: str, *, convolutional: bool, threads: int = 0) -> None:
        self._network = network
        graph = build_forward(network.net, outputs=[network.blob], fully_convolutional=convolutional)
        self._session = Session(graph, device, threads=threads, repeatable=True)

    def __call__(self, batch: Singles) -> Singles:
        """The net's blob, (N, C) or (N, C, h, w), for pictures (N, colours, H, W) less the mean."""
        answers = self._session.run({self._network.input: batch}, [self._network.blob])
        result: Singles = answers[self._network.blob]
        return result


class PosteriorScore:
    """Gives the log posteriors (n, K) of views (n, C, h, w). The scores of the last blob are kept: streams
    that differ in their averages alone take theirs from one run of the network."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._last: tuple[Singles, Singles] | None = None

    def __call__(self, stream: Stream, blob: Singles) -> Singles:
        if self._last is None or self._last[0] is not blob:
            self._last = None  # two blobs are not held at once
            self._last = blob, self._scorer(blob)
        return log_posteriors(self._last[1], stream.average)


def posterior_score(
    network: EvaluatedNet, streams: Sequence[Stream], device: str, threads: int
) -> PosteriorScore:
    """The function that gives the log posteriors (n, K) of views (n, C, h, w) of one of the ``streams``, with
    the network on ``device``."""
    dense = any(stream.view_kind == "dense" for stream in streams)
    return PosteriorScore(Scorer(network, device, convolutional=dense, threads=threads))
