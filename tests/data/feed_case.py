"""Feeds of data layers over the golden pictures, and what Caffe gave."""

import json
from pathlib import Path

from google.protobuf import text_format

from vggrepro.caffe.messages import TEST, LayerParameter
from vggrepro.data.feeds import Feed, open_feed

LMDB = Path(__file__).parents[1] / "golden" / "lmdb"
CASE = json.loads((LMDB / "case.json").read_text())
TOLERANCE = next(
    case["forward"]["float"]
    for case in json.loads((LMDB.parent / "index.json").read_text())["cases"]
    if case["name"] == "lmdb"
)


def feed_of(text: str, phase: int = TEST, seed: int = 0, folder: Path = LMDB) -> Feed:
    layer = text_format.Parse(f'name: "data" top: "data" top: "label" {text}', LayerParameter())
    return open_feed(layer, phase, seed=seed, folder=folder)


def data_layer(db: str, batch: int, transform: str = "", **more: int) -> str:
    extra = " ".join(f"{key}: {value}" for key, value in more.items())
    return (
        f'type: "Data" data_param {{ source: "{db}" backend: LMDB batch_size: {batch} {extra} }}'
        f" transform_param {{ {transform} }}"
    )
