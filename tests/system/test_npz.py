"""Damaged .npz files raise what the list of their errors names, and nothing else."""

import numpy as np

from vggrepro.system.npz import UNREADABLE_NPZ


def test_every_damage_of_an_npz_is_on_the_list(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.arange(50.0), b=np.ones((3, 4), np.float32))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.integers(len(damaged))] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged[: rng.integers(1, len(damaged) + 1)])
        try:
            with np.load(path) as file:
                for name in file.files:
                    file[name]
        except UNREADABLE_NPZ:
            refused += 1
    assert refused > 100
