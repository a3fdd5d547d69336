"""A net as the protocols see it: square pictures in; class scores, or another blob, out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from vggrepro.data.arrays import Singles
from vggrepro.data.decode import Pixels
from vggrepro.data.mean_image import MeanImage
from vggrepro.emit import Precision
from vggrepro.errors import DeviceMemoryError, NetError, ProtocolError, WeightsError, did_you_mean
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet, Pipeline
from vggrepro.evaluation.net_files import NetFiles
from vggrepro.evaluation.protocols import Stream, log_posteriors
from vggrepro.graph.forward import build_forward
from vggrepro.graph.targets.half import in_half_precision
from vggrepro.net.fork_rules import BVLC, ForkRules
from vggrepro.net.inspect import inspect
from vggrepro.net.load import load_by_rules
from vggrepro.net.net import Net
from vggrepro.net.requirements import layers_without_weights, picture_input
from vggrepro.net.transforms.fully_convolutional import fully_convolutional
from vggrepro.runtime.device import parse_device
from vggrepro.runtime.precision import prepare_precision, rules_of
from vggrepro.runtime.session import Session
from vggrepro.runtime.upload import CropsToBlob
from vggrepro.system.file_digest import file_sha256

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
    rules: ForkRules = BVLC

    @property
    def blob_shape(self) -> tuple[int, ...]:
        """The blob's shape for one picture of the input's size: (channels,) or (channels, H, W)."""
        return self.net.shapes[self.net.blobs[self.blob]][1:]

    @property
    def parameters(self) -> int:
        """How many learned numbers the net has."""
        return inspect(self.net)[1].parameters

    def of_blob(self, blob: str) -> EvaluatedNet:
        """The same net, evaluated for another of its blobs. Raises NetError as :func:`load_network`."""
        return replace(self, blob=blob, channels=_channels(self.net, blob))

    def facts(self) -> dict[str, Any]:
        """What the blob's values depend on besides the images, ready for JSON."""
        return {
            "weights_sha256": self.weights_sha256,
            "prototxt_sha256": self.prototxt_sha256,
            **self.rules.facts(),
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

    Raises what :func:`load_network` raises, and NetError for a blob of posteriors.
    """
    return _load(files, mean, lambda net: score_blob(net, blob))


def load_network(files: NetFiles, mean: Mean, blob: str) -> EvaluatedNet:
    """Read a net to be evaluated for any one of its blobs.

    Raises NetError if the net does not take pictures alone or has no such blob, WeightsError if the file
    lacks weights of a layer, and ProtocolError if the mean has not the channels of the net's input.

    DEVIATION: Caffe goes on with the fillers' values of a layer that the file lacks.
    """
    return _load(files, mean, lambda _: blob)


def _load(files: NetFiles, mean: Mean, choose: Callable[[Net], str]) -> EvaluatedNet:
    net = load_by_rules(files.deploy, files.weights, files.rules)
    lacking = layers_without_weights(net)
    if lacking:
        raise WeightsError(f"{files.weights}: no weights for layer {', '.join(lacking)} of net {net.name!r}")
    picture = picture_input(net, COLOURS)
    colours = net.inputs[picture][1]
    blob = choose(net)
    return EvaluatedNet(
        name=files.name,
        net=net,
        input=picture,
        crop=net.inputs[picture][2],
        blob=blob,
        channels=_channels(net, blob),
        mean=_mean_of(mean, colours, files.name),
        weights_sha256=file_sha256(files.weights),
        prototxt_sha256=file_sha256(files.deploy),
        colours=colours,
        rules=files.rules,
    )


def _channels(net: Net, blob: str) -> int:
    """The channels of a blob (N, C) or (N, C, H, W). Raises NetError for other blobs."""
    if blob not in net.blobs:
        there = f"it has {', '.join(net.blobs)}{did_you_mean(blob, net.blobs)}"
        raise NetError(f"net {net.name!r}: no blob {blob!r}; {there}")
    shape = net.shapes[net.blobs[blob]]
    if len(shape) not in (2, 4):
        raise NetError(f"net {net.name!r}: blob {blob!r} has shape {shape}, expected (N, C) or (N, C, H, W)")
    return shape[1]


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
    pictures of any size and gives maps (N, C, h, w). ``threads`` are the CPU's, 0: all cores; ``precision``
    is that of products and sums. ``blobs`` are those that it gives, by default the one that the net is
    evaluated for. ``batch`` is the number of pictures that most batches have, 0 if that is not known."""

    def __init__(
        self,
        network: EvaluatedNet,
        device: str,
        *,
        convolutional: bool,
        threads: int = 0,
        precision: Precision = "fp32",
        blobs: Sequence[str] = (),
        batch: int = 0,
    ) -> None:
        self._network = network
        self._blobs = list(blobs) or [network.blob]
        place = parse_device(device)
        prepare_precision(precision, place)
        graph = build_forward(
            network.net,
            outputs=self._blobs,
            fully_convolutional=convolutional,
            rules=rules_of(precision, place),
        )
        if precision == "fp16":
            graph = in_half_precision(graph)
        tf32 = precision in ("tf32", "fp16")  # in fp16 for what stays float32
        crops = 0 if convolutional else batch  # of whole images there is often one of a size
        self._session = Session(graph, place, threads=threads, tf32=tf32, repeatable=True, batch=crops)
        self._place, self._threads = place, threads

    @classmethod
    def for_streams(
        cls,
        network: EvaluatedNet,
        streams: Sequence[Stream],
        execution: Execution,
        blobs: Sequence[str] = (),
    ) -> Scorer:
        """The net as an evaluation runs it for views of these ``streams``."""
        return cls(
            network,
            execution.device,
            convolutional=any(stream.view_kind == "dense" for stream in streams),
            threads=execution.threads,
            precision=execution.precision,
            blobs=blobs,
            batch=execution.batch,
        )

    def __call__(self, batch: Singles | Pixels) -> Singles:
        """The net's blob, (N, C) or (N, C, h, w), for pictures (N, colours, H, W) less the mean; or for their
        bytes (N, H, W, colours), of which the device subtracts the network's mean pixel."""
        return self.blobs(batch)[self._network.blob]

    def blobs(self, batch: Singles | Pixels) -> dict[str, Singles]:
        """All blobs that it gives, as :meth:`__call__`."""
        try:
            return self._blobs_of_bytes(batch) if batch.dtype == np.uint8 else self._blobs_of(batch)
        except DeviceMemoryError as error:
            raise DeviceMemoryError(
                f"{error}: a batch of shape {batch.shape}; a smaller --batch needs less"
            ) from error

    @cached_property
    def _to_blob(self) -> CropsToBlob:
        return CropsToBlob(self._place, 1, None, self._threads, self._network.colours)

    def _blobs_of(self, batch: Any) -> dict[str, Singles]:
        return dict(self._session.run({self._network.input: batch}, self._blobs))

    def _blobs_of_bytes(self, batch: Any) -> dict[str, Singles]:
        assert not isinstance(self._network.mean, MeanImage)
        shifts = np.tile(-np.asarray(self._network.mean, np.float32), (len(batch), 1))  # (N, colours)
        run = self._session.bind()
        run.bind_input(self._network.input, self._to_blob(batch, shifts))
        for blob in self._blobs:
            run.return_output(blob)
        return dict(run.run())


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


def posterior_score(network: EvaluatedNet, streams: Sequence[Stream], execution: Execution) -> PosteriorScore:
    """The function that gives the log posteriors (n, K) of views (n, C, h, w) of one of the ``streams``."""
    return PosteriorScore(Scorer.for_streams(network, streams, execution))
