"""From what argparse parsed to frozen dataclasses: a ``Namespace`` goes no further than here."""

from __future__ import annotations

import argparse
import sys
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = argparse._ActionsContainer
"""A parser, or a group of its options: what options are added to."""

T = TypeVar("T", bound="DataclassInstance")


def read(kind: type[T], arguments: argparse.Namespace) -> T:
    """The dataclass ``kind`` with the values of the options that bear its fields' names.

    A field whose type is a dataclass is read in the same way, from the same options; its module imports that
    dataclass, and need not import the types of other fields. Lists become tuples, so that nothing can be
    changed afterwards.
    """
    names = vars(sys.modules[kind.__module__])
    values: dict[str, Any] = {}
    for field in fields(kind):
        inner = names.get(field.type) if isinstance(field.type, str) else field.type
        if isinstance(inner, type) and is_dataclass(inner):
            values[field.name] = read(inner, arguments)
        else:
            value = getattr(arguments, field.name)
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


def given(options: DataclassInstance) -> list[str]:
    """The names of the fields whose values are not their defaults: what the user asked for."""
    return [f.name for f in fields(options) if f.default is MISSING or getattr(options, f.name) != f.default]


def flag(name: str) -> str:
    """The option of a field: ``val_labels`` is ``--val-labels``."""
    return f"--{name.replace('_', '-')}"
