"""Which nodes the rows of the table mean."""

import numpy as np
import pytest
from drafts import draft

from vggrepro.graph.targets import conditions
from vggrepro.graph.targets.draft import Place


def place(build):
    made = draft(build)
    return Place(made, made.nodes[-1])


def conv(kernel, **attributes):
    weights = np.ones((3, 3, kernel, kernel), np.float32)
    return place(lambda g: g.op("Conv", "x", g.const(weights), kernel_shape=[kernel, kernel], **attributes))


@pytest.mark.parametrize(
    ("kernel", "pads", "padded", "point"),
    [(1, [1, 1, 1, 1], True, True), (3, [1, 1, 1, 1], True, False), (1, [0, 0, 0, 0], False, False)],
)
def test_padding_of_convolutions(kernel, pads, padded, point):
    node = conv(kernel, pads=pads)
    assert conditions.padded(node) is padded
    assert conditions.padded_point(node) is point


def test_padding_that_differs_from_end_to_end():
    assert conditions.uneven(conv(3, pads=[1, 0, 1, 1]))
    assert not conditions.uneven(conv(3, pads=[1, 0, 1, 0]))
    assert not conditions.uneven(conv(3))


def test_a_pad_without_a_mode():
    widths = [0, 0, 1, 1, 0, 0, 1, 1]
    assert conditions.of_unnamed_mode(place(lambda g: g.op("Pad", "x", g.ints(widths))))
    assert not conditions.of_unnamed_mode(place(lambda g: g.op("Pad", "x", g.ints(widths), mode="edge")))


@pytest.mark.parametrize(("axes", "one"), [([1], True), ([1, 2], False), (None, False)])
def test_the_axes_of_a_reduction(axes, one):
    sums = place(lambda g: g.op("ReduceSum", "x", *([] if axes is None else [g.ints(axes)])))
    assert conditions.along_one_axis(sums) is one
    assert conditions.reads_axes(sums) is (axes is not None)
    largest = place(lambda g: g.op("ReduceMax", "x", axes=axes))
    assert conditions.along_several_axes(largest) is not one
    assert not conditions.reads_axes(largest)


@pytest.mark.parametrize(
    ("mode", "how", "meant"),
    [("linear", "asymmetric", True), ("linear", "half_pixel", False), ("nearest", "asymmetric", False)],
)
def test_linear_resizing_from_corners(mode, how, meant):
    node = place(
        lambda g: g.op(
            "Resize", "x", "", "", g.ints([2, 3, 4, 4]), mode=mode, coordinate_transformation_mode=how
        )
    )
    assert conditions.linear_from_corners(node) is meant


@pytest.mark.parametrize(
    ("mode", "sizes", "meant"),
    [("linear", (2, 3, 1, 7), True), ("linear", (1, 1, 5, 7), False), ("nearest", (2, 3, 1, 1), False)],
)
def test_linear_resizing_of_one_row(mode, sizes, meant):
    made = draft(lambda g: g.op("Resize", "x", "", "", g.ints([2, 3, 4, 4]), mode=mode), sizes)
    assert conditions.linear_along_one(Place(made, made.nodes[-1])) is meant


@pytest.mark.parametrize(("step", "meant"), [(None, False), (1, False), (2, True), (-1, True)])
def test_steps_of_a_slice(step, meant):
    def build(g):
        steps = [] if step is None else [g.ints([step])]
        return g.op("Slice", "x", g.ints([0]), g.ints([4]), g.ints([2]), *steps)

    assert conditions.in_steps(place(build)) is meant


def test_dilation():
    assert conditions.dilated(conv(3, dilations=[2, 1]))
    assert not conditions.dilated(conv(3, dilations=[1, 1]))


def test_averages_that_count_their_padding():
    def average(count):
        return place(
            lambda g: g.op(
                "AveragePool", "x", kernel_shape=[2, 2], pads=[1, 1, 1, 1], count_include_pad=count
            )
        )

    assert conditions.padding_counts(average(1)) and not conditions.padding_counts(average(0))


def test_operands_that_are_computed_or_known():
    assert conditions.no_constants(place(lambda g: g.op("Add", "x", "x")))
    assert not conditions.no_constants(place(lambda g: g.op("Add", "x", g.const(1.0))))


def test_axes_that_are_named():
    def resize(**attributes):
        return place(lambda g: g.op("Resize", "x", "", "", g.ints([4, 4]), mode="nearest", **attributes))

    assert conditions.names_axes(resize(axes=[2, 3]))
    assert not conditions.names_axes(resize())


def test_rows_behind_detections():
    def choice(padded):
        def build(g):
            ones, rows = g.const(np.ones((4, 1))), g.const(np.ones((4, 7)))
            padding = g.op("Pad", ones, g.ints([0, 0, 0, 6]), g.const(-1)) if padded else rows
            return g.op("Where", g.op("Greater", ones, g.const(0)), rows, padding)

        return place(build)

    assert conditions.padded_rows(choice(True))
    assert not conditions.padded_rows(choice(False))


def test_bytes():
    cast = place(lambda g: g.op("Cast", g.const([1, 2], np.uint8), to=1))
    assert conditions.of_bytes(cast)
    assert not conditions.of_bytes(place(lambda g: g.op("Cast", g.const([1, 2], np.int64), to=1)))


@pytest.mark.parametrize(
    ("index", "axis", "rearranged"),
    [([1, 0], 1, True), ([1, 0], -3, True), ([1, 0], 2, False), (1, 1, False)],
)
def test_channels_that_a_gather_rearranges(index, axis, rearranged):
    known = place(lambda g: g.op("Gather", "x", g.ints(index), axis=axis))
    assert conditions.rearranged_channels(known) is rearranged
    computed = place(lambda g: g.op("Gather", "x", g.op("Shape", "x"), axis=axis))
    assert not conditions.rearranged_channels(computed)


@pytest.mark.parametrize(("count", "more"), [(2, False), (7, False), (8, True)])
def test_places_of_a_scatter(count, more):
    def scatter(g):
        index = g.const(np.zeros((2, 3, 5, count)), np.int64)
        return g.op("ScatterElements", "x", index, g.const(np.ones((2, 3, 5, count))), axis=3)

    assert conditions.more_places(place(scatter)) is more
