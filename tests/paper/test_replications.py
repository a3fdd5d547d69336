"""Published errors of the paper's nets that others have measured."""

from vggrepro.paper.replications import REPLICATIONS, replications_of


def sources(net, protocol, scales):
    return {r.source for r in replications_of(net, protocol, scales)}


def test_replications_are_of_the_same_net_protocol_and_scales():
    assert sources("D:256;512", "dense", (384,)) == {"authors' model page"}
    assert [r.top5 for r in replications_of("D:256;512", "dense", (384,))] == [8.1]
    assert [r.top5 for r in replications_of("D:256;512", "dense", (512, 256, 384))] == [7.5]
    assert sources("D:256;512", "dense", (256,)) == set()
    assert sources("D:256", "dense", (384,)) == set()  # trained at one scale, the published net at many
    assert sources("D:256;512", "centre", (256,)) == {
        "MatConvNet",
        "keras-applications",
        "TF-slim",
        "OpenVINO",
    }
    assert sources("C", "centre", (256,)) == set()


def test_a_net_of_an_unknown_training_is_compared_with_all():
    assert {r.weights for r in replications_of("D", "centre", (256,))} == {"original", "retrained"}


def test_replications_have_a_number_each():
    assert all(r.top5 is not None and 5 < r.top5 < 15 for r in REPLICATIONS)
    assert all(r.top1 is None or r.top5 < r.top1 < 35 for r in REPLICATIONS)
