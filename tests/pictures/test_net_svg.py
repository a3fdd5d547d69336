"""The SVG of a net: well formed, complete, and readable on light and dark pages."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from golden_suite import ROOT

from vggrepro.net import load_net
from vggrepro.pictures.net_layout import LayerBox, NetLayout, net_layout
from vggrepro.pictures.net_svg import net_svg

SVG = "{http://www.w3.org/2000/svg}"


def luminance(colour: str) -> float:
    """WCAG's relative luminance of ``#rrggbb``."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_every_layer_and_line_is_there() -> None:
    net = load_net(ROOT / "nets" / "googlenet_like_train" / "net.prototxt", fill=False)
    layout = net_layout(net)
    root = ElementTree.fromstring(net_svg(layout, "net"))
    groups = {group.get("data-layer"): group for group in root.iter(f"{SVG}g")}
    assert list(groups) == [layer.name for layer in net.layers]
    for box in layout.boxes:
        group = groups[box.name]
        assert [text.text for text in group.iter(f"{SVG}text")] == list(box.lines)
        (rect,) = group.iter(f"{SVG}rect")
        place = [float(rect.get(name, "nan")) for name in ("x", "y", "width", "height")]
        expected = [box.left, box.top, box.width, box.height]
        assert all(abs(one - other) < 0.01 for one, other in zip(place, expected, strict=True))
    lines = [
        (path.get("data-from"), path.get("data-to"))
        for path in root.iter(f"{SVG}path")
        if path.get("data-to")
    ]
    assert lines == [(layout.boxes[i.source].name, layout.boxes[i.target].name) for i in layout.lines]


def test_colours_are_read_on_light_and_dark_pages() -> None:
    text = net_svg(net_layout(load_net(ROOT / "nets" / "lenet_test" / "net.prototxt", fill=False)), "net")
    root = ElementTree.fromstring(text)
    for group in root.iter(f"{SVG}g"):
        (rect,) = group.iter(f"{SVG}rect")
        for line in group.iter(f"{SVG}text"):
            assert contrast(line.get("fill", ""), rect.get("fill", "")) > 4.5
    strokes = set(re.findall(r'stroke="(#\w+)"', text))
    assert strokes
    for stroke in strokes:
        assert min(contrast(stroke, "#ffffff"), contrast(stroke, "#0d1117")) > 3


def test_names_cannot_break_the_file() -> None:
    box = LayerBox("x", ('<a & "b">', "Type\\x1b", "1"), "plain", 0, 0, 90, 50)
    root = ElementTree.fromstring(net_svg(NetLayout((box,), (), 100, 60), "<t>"))
    (group,) = root.iter(f"{SVG}g")
    assert group.get("data-layer") == '<a & "b">'
    assert [text.text for text in group.iter(f"{SVG}text")] == list(box.lines)
    assert root.findtext(f"{SVG}title") == "<t>"
