"""For which runtime a model is written, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vggrepro.cli.options.read import Options
from vggrepro.cli.options.values import positive
from vggrepro.graph.targets import TARGET_NAMES

if TYPE_CHECKING:
    from vggrepro.graph.targets.convert import Deployment


@dataclass(frozen=True)
class DeploymentOptions:
    """The runtime, the versions and the storage of a model."""

    target: str = "onnxruntime"
    opset: int | None = None
    ir_version: int | None = None
    fp16: bool = False
    external_data: bool = False
    no_softmax: bool = False

    @property
    def deployment(self) -> Deployment:
        from vggrepro.graph.targets.convert import Deployment

        return Deployment(self.target, self.opset, self.ir_version, half=self.fp16)


def add_deployment_options(options: Options) -> None:
    """Add the options of :class:`DeploymentOptions`."""
    options.add_argument(
        "--target",
        choices=list(TARGET_NAMES),
        default=DeploymentOptions.target,
        help="the runtime that shall run the model: what it lacks is said otherwise, or refused by name"
        " (default: onnxruntime)",
    )
    options.add_argument(
        "--opset",
        type=positive,
        metavar="N",
        help="operator set, 13 or newer (default: 18; 13 for opencv4, tensorrt and ncnn)",
    )
    options.add_argument(
        "--ir-version",
        type=positive,
        metavar="N",
        help="version of the file format (default: the one that came with the operator set)",
    )
    options.add_argument(
        "--fp16", action="store_true", help="store large weights as float16; tells by how much outputs change"
    )
    options.add_argument(
        "--external-data",
        action="store_true",
        help="keep weights in a second file FILE.data, which a model of more than 2 GiB needs",
    )
    options.add_argument(
        "--no-softmax",
        action="store_true",
        help="leave out the Softmax at the end: the model returns scores in place of probabilities",
    )
