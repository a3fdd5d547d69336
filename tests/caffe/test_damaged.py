"""Damaged files: whatever the bytes, the answer is a result or a VggReproError of one line."""

import warnings
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vggrepro.caffe import snapshot, text, upgrade, weights
from vggrepro.caffe.binary import read_blob
from vggrepro.caffe.text_scan import blanked, unknown_fields
from vggrepro.errors import VggReproError

GOLDEN = Path(__file__).parents[1] / "golden"
BINARIES = [
    (GOLDEN / name).read_bytes()
    for name in (
        "layers/ip_2d/weights.caffemodel",
        "upgrade/binary_v0/old.caffemodel",
        "upgrade/binary_v1/old.caffemodel",
        "train/adam/snap_iter_25.solverstate",
        "lmdb/mean.binaryproto",
    )
]
TEXTS = [
    path.read_text()
    for pattern in ("upgrade/v*/old.prototxt", "nets/rules_*/net.prototxt", "train/*/solver.prototxt")
    for path in sorted(GOLDEN.glob(pattern))
]
SIGNS = st.sampled_from("{}<>[]:;,\"'\\#\n-é\0\udc80")
WORDS = st.sampled_from(
    ["0x", "1e999", "nan", "foo", "[a.b] {", "layer {", "layers { layer {", "x: [1,", "type: 99", "dim: -1"]
)
FRAGMENTS = st.one_of(SIGNS, WORDS, st.sampled_from(['"\\377"', "net_param {"]))
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Damaged(bytes):
    """Bytes of a file, too many to print when a test fails: hypothesis prints how to make them again."""

    def __repr__(self):
        return f"<{len(self)} bytes>"


@st.composite
def damaged_bytes(draw):
    data = bytearray(draw(st.sampled_from(list(map(Damaged, BINARIES)))))
    # most damage belongs near the front, where the structure is
    place = st.one_of(st.integers(0, min(300, len(data) - 1)), st.integers(0, len(data) - 1))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(place)] ^= 1 << draw(st.integers(0, 7))
    if draw(st.booleans()):
        del data[draw(place) :]
    if draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        data[at:at] = draw(st.binary(max_size=12))
    return Damaged(data)


@st.composite
def damaged_text(draw):
    written = draw(st.sampled_from(TEXTS))[: draw(st.integers(0, 1500))]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(written)))
        stop = start + draw(st.sampled_from([0, 0, 1, 5, 30]))
        written = written[:start] + draw(FRAGMENTS) + written[stop:]
    return written


def check(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call()
        except VggReproError as error:
            assert "\n" not in str(error)


@FUZZ
@given(damaged_bytes())
def test_binary_files(tmp_path, data):
    path = tmp_path / "damaged"
    path.write_bytes(data)
    for read in (weights.read_weights, snapshot.read_solverstate, read_blob, text.read_net):
        check(lambda read=read: read(path))


@FUZZ
@given(st.binary(max_size=60))
def test_random_bytes(tmp_path, data):
    path = tmp_path / "random"
    path.write_bytes(data)
    for read in (weights.read_weights, snapshot.read_solverstate, read_blob, text.read_net, text.read_solver):
        check(lambda read=read: read(path))


@FUZZ
@given(damaged_text(), st.booleans())
def test_texts(written, allow_unknown):
    check(lambda: upgrade.upgrade_net_report(text.parse_net(written, allow_unknown=allow_unknown)))
    check(lambda: upgrade.upgrade_solver_report(text.parse_solver(written, allow_unknown=allow_unknown)))


@FUZZ
@given(damaged_text())
def test_blanking_keeps_every_place_and_what_the_strict_parser_takes(written):
    unknown = list(unknown_fields(written, text.NetParameter.DESCRIPTOR))
    rest = blanked(written, unknown)
    assert len(rest) == len(written)
    assert [i for i, c in enumerate(rest) if c == "\n"] == [i for i, c in enumerate(written) if c == "\n"]
    with suppress(VggReproError):
        strict = text.parse_net(written)
        assert not unknown
        assert text.parse_net(rest) == strict


@pytest.mark.parametrize("depth", [50, 100_000])
def test_deep_nesting(depth):
    check(lambda: text.parse_net("a {" * depth + "}" * depth, allow_unknown=True))
    check(lambda: text.parse_net("layer {" * depth))
    check(lambda: text.parse_net("x: " + "[" * depth))
