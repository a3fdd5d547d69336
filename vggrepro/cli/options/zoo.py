"""``--zoo``: a published model, evaluated as it was measured."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vggrepro.cli.options.goals import GoalOptions
from vggrepro.cli.options.refuse import refuse_together
from vggrepro.errors import OptionError
from vggrepro.paper.known_models import KnownModel, model_with_weights, zoo_model, zoo_protocol
from vggrepro.paper.nets import PUBLISHED

if TYPE_CHECKING:
    from vggrepro.evaluation.goals import EvaluationPlan, Expectation

SORTED = "caffe synset_words"
"""How the class order begins that Caffe's own label lists have."""

OWN_NETS = {"VGG_ILSVRC_16_layers": PUBLISHED["D"], "VGG_ILSVRC_19_layers": PUBLISHED["E"]}
"""The published models whose nets the package has."""


def measured_as_published(goals: GoalOptions) -> tuple[GoalOptions, Expectation | None]:
    """The options with everything that ``--zoo`` fixes, and the errors that were published; without ``--zoo``
    the options as they are. Raises OptionError for options that it fixes and for weights that are missing,
    ProtocolError for a model that is not known."""
    from vggrepro.evaluation.goals import Expectation

    if goals.zoo is None:
        return goals, None
    refuse_together("--zoo", goals, "demo", "table", "published", "row", "sweep")
    refuse_together("--zoo", goals.protocol, "protocol", "scales", "flip", "average")
    refuse_together("--zoo", goals.network, "channel_order")
    refuse_together("--zoo", goals.reading, "resize", "scale")
    model = zoo_model(goals.zoo)
    found = zoo_protocol(model)
    mean = goals.network.mean
    if found.mean is not None:
        refuse_together("--zoo", goals.network, "mean", "mean_as")
        mean = found.mean
    elif mean is None:
        raise OptionError(f"--zoo {model.zoo}: expected --mean FILE with it, {found.published.mean}")
    if model.classes and not model.classes.startswith(SORTED):
        warnings.warn(f"{model.zoo}: its classes are in another order: {model.classes}", stacklevel=2)
    network = replace(goals.network, weights=(_weights(goals, model),), mean=mean)
    order = found.channel_order
    settled = replace(
        goals,
        protocol=replace(goals.protocol, protocol=found.protocol, scales=found.scales),
        network=replace(network, channel_order=order),
        reading=replace(goals.reading, resize=found.resize, scale=found.scale, channel_order=order),
    )
    return settled, Expectation(f"{model.name} ({found.published.protocol})", *found.errors)


def _weights(goals: GoalOptions, model: KnownModel) -> str:
    """``--weights`` under the name of the model, with a warning where they are other ones."""
    from vggrepro.system.file_digest import file_digest

    if len(goals.network.weights) != 1:
        raise OptionError(f"--zoo {model.zoo}: expected --weights FILE with it, once")
    (given,) = goals.network.weights
    path = Path(given)
    if path.is_file() and model.digests:
        held = model_with_weights(path.name, path.stat().st_size, partial(file_digest, path))
        if held != model:
            what = "no published model" if held is None else held.name
            warnings.warn(f"{given}: the weights of {what}, not of {model.name}", stacklevel=3)
    return f"{OWN_NETS.get(model.zoo, model.zoo)}={given}"


def expecting(plan: EvaluationPlan, expectation: Expectation | None) -> EvaluationPlan:
    """The plan with published errors as what is expected, unless the user expects others."""
    if expectation is None or plan.goals[0].expectation is not None:
        return plan
    return replace(plan, goals=[replace(plan.goals[0], expectation=expectation)])
