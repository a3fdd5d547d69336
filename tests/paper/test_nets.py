"""Names of the paper's nets, and where their prototxts are."""

from pathlib import Path

import pytest

import vggrepro
from vggrepro.paper.nets import (
    CONFIGS,
    JITTERED,
    PROTOTXT,
    NetName,
    canonical,
    deploy_prototxt,
    solver_prototxt,
    training_scale,
)


def test_the_papers_configurations_are_inside_the_package():
    assert PROTOTXT.parent == Path(vggrepro.__file__).resolve().parent  # so that a wheel has them too
    assert [c for c in CONFIGS if not (PROTOTXT / c / "deploy.prototxt").is_file()] == []
    assert [c for c in CONFIGS if not deploy_prototxt(c).is_file() or not solver_prototxt(c).is_file()] == []


def test_prototxts_in_another_folder():
    assert deploy_prototxt("D", Path("mine")) == Path("mine/D/deploy.prototxt")
    assert solver_prototxt("A-LRN", Path("mine")) == Path("mine/A-LRN/solver.prototxt")


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("D:[256;512]", "D:256;512"),
        ("D:256-512", "D:256;512"),
        (" A-LRN:[256-512] ", "A-LRN:256;512"),
        ("D:256;512", "D:256;512"),
        ("D:384", "D:384"),
        ("ensemble-2-multicrop", "ensemble-2-multicrop"),
        ("my-net-16-2", "my-net-16-2"),
    ],
)
def test_a_name_has_one_spelling(name, spelt):
    assert canonical(name) == spelt


def test_a_name_is_a_configuration_and_its_training_scale():
    assert str(NetName("D", training_scale(256, 512))) == f"D:{JITTERED}" == "D:256;512"
    assert str(NetName("A-LRN", training_scale(256, 256))) == "A-LRN:256"
