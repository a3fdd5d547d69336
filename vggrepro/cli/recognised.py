"""Published models among a command's files: which they are, and whether they belong together."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vggrepro.paper.known_models import (
    KnownModel,
    model_with_weights,
    models_with_prototxt,
    published_size,
)
from vggrepro.system.file_digest import file_digest
from vggrepro.system.notes import note
from vggrepro.system.terminal import printable


@dataclass(frozen=True)
class Recognised:
    """The published models that a definition belongs to, and the one whose weights were given."""

    definition: Sequence[KnownModel] = ()
    weights: KnownModel | None = None

    @property
    def models(self) -> Sequence[KnownModel]:
        """The model of the weights; without it those of the definition."""
        return self.definition if self.weights is None else [self.weights]

    @property
    def names(self) -> list[str]:
        return [model.zoo for model in self.models]

    def facts(self) -> dict[str, str]:
        """What a converted model's metadata says of the published weights that it is made of."""
        if self.weights is None:
            return {}
        found = {
            "published_model": self.weights.name,
            "licence": self.weights.licence,
            "published_preprocessing": self.weights.preprocessing,
            "class_order": self.weights.classes,
        }
        return {key: printable(value) for key, value in found.items() if value}

    def hint_at_mean(self, mean: object) -> None:
        """Warn where a model shall contain its preprocessing, but no ``mean`` was given, and one was
        published."""
        if self.weights is not None and self.weights.mean and mean is None:
            warnings.warn(
                f"--embed-preprocessing without --mean: nothing is subtracted, but the published model"
                f" {self.weights.name} has the mean {self.weights.mean}",
                stacklevel=2,
            )

    def lines(self) -> Iterator[str]:
        """A line for each model: name, licence, preprocessing, classes."""
        for model in self.models:
            parts = {"": model.preprocessing, "classes ": model.classes, "licence ": model.licence}
            known = [f"{word}{text}" for word, text in parts.items() if text]
            yield printable(f"published model: {'; '.join([model.name, *known])}")

    def note_weights(self) -> None:
        """A note on the published model whose weights were given."""
        if self.weights is not None:
            for line in self.lines():
                note(line)


def recognise(prototxt: str, caffemodel: str | None) -> Recognised:
    """Which published models these files are; files that cannot be read are none. Warns where the two belong
    to different models, and of weights that are shorter than the published file of their name."""
    definition = models_with_prototxt(partial(file_digest, Path(prototxt))) if _is_file(prototxt) else ()
    weights = None
    if caffemodel is not None and _is_file(caffemodel):
        path = Path(caffemodel)
        size = path.stat().st_size
        weights = model_with_weights(path.name, size, partial(file_digest, path))
        published = published_size(path.name)
        if weights is None and published is not None and size < published:
            warnings.warn(
                f"{caffemodel}: {size} bytes, but the published file of this name has {published}:"
                " it may have been cut off",
                stacklevel=2,
            )
    if weights is not None and definition and weights not in definition:
        names = " or ".join(model.name for model in definition)
        warnings.warn(
            f"{prototxt} is the definition of {names}, but {caffemodel} holds the weights of {weights.name}",
            stacklevel=2,
        )
    return Recognised(definition, weights)


def _is_file(name: str) -> bool:
    return Path(name).is_file() and os.access(name, os.R_OK)
