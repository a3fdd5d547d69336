"""The options of preprocessing: what a model's metadata notes, and what the model contains."""

import argparse
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from vggrepro.cli.options.preprocessing import PreprocessingOptions, add_preprocessing_options
from vggrepro.errors import OptionError
from vggrepro.graph.embedded_preprocessing import Layout

MEAN = (104.0, 117.0, 123.0)


def test_without_embedding_it_is_noted():
    options = PreprocessingOptions(MEAN, channel_order="rgb", scale=0.017)
    assert options.embedded() is None
    assert options.noted() == {
        "channel_order": "RGB",
        "mean_pixel": "104.0,117.0,123.0",
        "pixel_scale": "0.017",
    }
    with pytest.raises(OptionError, match="expected a mean pixel"):
        PreprocessingOptions(Path("mean.npy")).embedded()


def test_embedded_it_is_not_noted_again():
    options = PreprocessingOptions(MEAN, scale=0.5, embed_preprocessing=True, image_order="rgb")
    how = options.embedded()
    assert (how.mean, how.scale, how.image_order, how.layout) == (MEAN, 0.5, "rgb", "nhwc")
    assert options.noted() == {}


def test_a_mean_image_is_read(tmp_path):
    image = np.random.default_rng(0).uniform(0, 255, (3, 4, 5)).astype(np.float32)
    np.save(tmp_path / "m.npy", image)
    options = PreprocessingOptions(tmp_path / "m.npy", embed_preprocessing=True)
    np.testing.assert_array_equal(options.embedded().mean, image.transpose(1, 2, 0))
    pixel = PreprocessingOptions(tmp_path / "m.npy", "pixel", embed_preprocessing=True).embedded()
    np.testing.assert_allclose(pixel.mean, image.mean(axis=(1, 2)), rtol=1e-6)


def test_every_layout_is_offered():
    parser = argparse.ArgumentParser()
    add_preprocessing_options(parser)
    (layout,) = (action for action in parser._actions if action.dest == "image_layout")
    assert tuple(layout.choices) == get_args(Layout)
