"""How one image file becomes a picture."""

from __future__ import annotations

import argparse

from vggrepro.cli.options.pictures import PictureOptions, add_picture_options
from vggrepro.cli.options.read import read
from vggrepro.evaluation.measuring.rescaled_image import ImageReading


def pictures(*arguments: str) -> PictureOptions:
    parser = argparse.ArgumentParser()
    add_picture_options(parser)
    return read(PictureOptions, parser.parse_args(arguments))


def test_the_defaults_are_those_of_an_evaluation() -> None:
    assert pictures().reading == ImageReading()


def test_every_option_counts() -> None:
    options = ["--exif", "apply", "--kernel", "cubic", "--centre", "matcaffe", "--resize", "warp"]
    found = pictures(*options, "--max-pixels", "9").reading
    assert found == ImageReading("apply", "cubic", "matcaffe", 9, "warp")
    assert found.max_pixels == 9
