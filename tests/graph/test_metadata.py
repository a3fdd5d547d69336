"""Digests of the files that a net came from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vggrepro.graph.metadata import digests


def test_sources_that_are_gone_have_none(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text("x")
    sources = {"prototxt": str(tmp_path / "net.prototxt"), "weights": str(tmp_path / "gone")}
    assert digests(sources) == {"prototxt_sha256": hashlib.sha256(b"x").hexdigest()}


def test_what_is_added_counts_as_if_it_had_been_inside(tmp_path: Path) -> None:
    import onnx

    from vggrepro.graph.metadata import add_metadata

    path = tmp_path / "m.onnx"
    onnx.save(onnx.ModelProto(ir_version=8, producer_name="x"), path)
    add_metadata(path, {"measured": "1"})
    model = onnx.load(path)
    assert (model.ir_version, model.producer_name) == (8, "x")
    assert [(e.key, e.value) for e in model.metadata_props] == [("measured", "1")]
