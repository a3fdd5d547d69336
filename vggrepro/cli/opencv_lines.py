"""The lines of Python and C++ that stand in place of ``readNetFromCaffe``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vggrepro.emit import Shape
from vggrepro.net import Net
from vggrepro.verify.detections import detection_blobs

ROWS = "rows of image, label, confidence, left, top, right, bottom (0 to 1); all 0 behind the detections"


@dataclass(frozen=True)
class ImageArguments:
    """What ``blobFromImage`` is told, where it is known. ``mean`` is blue, green, red."""

    mean: tuple[float, float, float]
    scale: float = 1.0
    channel_order: Literal["bgr", "rgb"] = "bgr"

    @property
    def ordered_mean(self) -> tuple[float, ...]:
        """The mean in the order that ``swapRB`` leaves the channels in."""
        return self.mean[::-1] if self.channel_order == "rgb" else self.mean


def python_lines(net: Net, outputs: Sequence[str], model: str, image: ImageArguments | None) -> list[str]:
    """The lines of Python. The picture is ``image``, as ``cv2.imread`` gives it."""
    lines = [f"net = cv2.dnn.readNetFromONNX({model!r})"]
    for name, shape in net.inputs.items():
        lines += _python_input(name, shape, image)
    lines += [f"# {_words(net, blob)}" for blob in outputs]
    names = repr(outputs[0]) if len(outputs) == 1 else f"[{', '.join(map(repr, outputs))}]"
    lines.append(f"{', '.join(map(_variable, outputs))} = net.forward({names})")
    return lines


def _python_input(name: str, shape: Shape, image: ImageArguments | None) -> list[str]:
    if not _is_image(shape):
        return [f"net.setInput({_variable(name)}, {name!r})  # {_sizes(shape)}, as before"]
    size = f"({shape[3]}, {shape[2]})"
    if image is None or shape[1] == 1:
        call = f"blob = cv2.dnn.blobFromImage(image, size={size})  # mean and scale as before"
    else:
        mean = ", ".join(f"{value:.10g}" for value in image.ordered_mean)
        swap = image.channel_order == "rgb"
        call = f"blob = cv2.dnn.blobFromImage(image, {image.scale!r}, {size}, ({mean}), swapRB={swap})"
    return [call, f"net.setInput(blob, {name!r})"]


def cpp_lines(net: Net, outputs: Sequence[str], model: str, image: ImageArguments | None) -> list[str]:
    """The same in C++; ``image`` is a ``cv::Mat``."""
    lines = [f"cv::dnn::Net net = cv::dnn::readNetFromONNX({_quoted(model)});"]
    for name, shape in net.inputs.items():
        lines += _cpp_input(name, shape, image)
    lines += [f"// {_words(net, blob)}" for blob in outputs]
    if len(outputs) == 1:
        lines.append(f"cv::Mat {_variable(outputs[0])} = net.forward({_quoted(outputs[0])});")
        return lines
    names = ", ".join(map(_quoted, outputs))
    lines += ["std::vector<cv::Mat> outputs;", f"net.forward(outputs, std::vector<cv::String>{{{names}}});"]
    return lines


def _cpp_input(name: str, shape: Shape, image: ImageArguments | None) -> list[str]:
    if not _is_image(shape):
        return [f"net.setInput({_variable(name)}, {_quoted(name)});  // {_sizes(shape)}, as before"]
    size = f"cv::Size({shape[3]}, {shape[2]})"
    if image is None or shape[1] == 1:
        call = f"cv::Mat blob = cv::dnn::blobFromImage(image, 1.0, {size});  // mean and scale as before"
    else:
        mean = ", ".join(f"{value:.10g}" for value in image.ordered_mean)
        swap = "true" if image.channel_order == "rgb" else "false"
        arguments = f"image, {image.scale!r}, {size}, cv::Scalar({mean}), {swap}"
        call = f"cv::Mat blob = cv::dnn::blobFromImage({arguments});"
    return [call, f"net.setInput(blob, {_quoted(name)});"]


def _words(net: Net, blob: str) -> str:
    """What an output is: its shape, and its rows if they are detections."""
    shape = _sizes(net.shapes[net.blobs[blob]])
    return "; ".join([f"{blob}: {shape}", *([ROWS] if blob in detection_blobs(net) else [])])


def _is_image(shape: Shape) -> bool:
    return len(shape) == 4 and shape[1] in (1, 3)


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _variable(name: str) -> str:
    """A name that Python and C++ allow."""
    return re.sub(r"\W", "_", re.sub(r"^(?=\d)", "_", name), flags=re.ASCII)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
