"""For which runtime, in which form: the options and their defaults."""

import argparse

import pytest

from vggrepro.cli.options.deployment import DeploymentOptions, add_deployment_options
from vggrepro.cli.options.read import read
from vggrepro.graph.targets import TARGET_NAMES
from vggrepro.graph.targets.convert import Deployment
from vggrepro.graph.targets.table import TARGETS


def options(*arguments):
    parser = argparse.ArgumentParser()
    add_deployment_options(parser)
    return read(DeploymentOptions, parser.parse_args(list(arguments)))


def test_nothing_asked_for_is_the_exact_graph_for_onnx_runtime():
    assert options() == DeploymentOptions()
    assert options().deployment == Deployment("onnxruntime", None, None, half=False)


def test_what_is_asked_for_reaches_the_deployment():
    asked = options("--target", "opencv5", "--opset", "17", "--ir-version", "8", "--fp16", "--external-data")
    assert asked.deployment == Deployment("opencv5", 17, 8, half=True)
    assert asked.external_data and not asked.no_softmax


@pytest.mark.parametrize("arguments", [("--target", "caffe2"), ("--opset", "0"), ("--ir-version", "x")])
def test_what_there_is_not_is_refused(arguments):
    with pytest.raises(SystemExit):
        options(*arguments)


def test_every_target_is_offered():
    assert list(TARGET_NAMES) == list(TARGETS)
