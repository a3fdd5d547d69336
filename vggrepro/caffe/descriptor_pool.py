"""Pools of descriptors: schemas from which protobuf makes message classes."""

from __future__ import annotations

import locale

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool


def pool_of(file: FileDescriptorProto) -> DescriptorPool:
    """A pool that holds one file. Raises TypeError for a file that protobuf refuses.

    protobuf reads default values as the process's locale writes numbers. A program may have set one that has
    a comma for the decimal point, as toolkits for windows do by themselves: meanwhile numbers are C's.
    """
    pool = DescriptorPool()
    before = locale.setlocale(locale.LC_NUMERIC)
    if before != "C":
        locale.setlocale(locale.LC_NUMERIC, "C")
    try:
        pool.AddSerializedFile(file.SerializeToString())
    finally:
        if before != "C":
            locale.setlocale(locale.LC_NUMERIC, before)
    return pool
