"""Runs that are killed, and runs of several ranks, in processes of their own."""

import json
import os
import subprocess

import numpy as np
from evaluation_process import EVALUATE, ONE_THREAD, run_until_half_done
from mpi_launcher import mpirun, needs_mpi

DEMO = ["--demo", "--protocol", "multicrop", "--scales", "72", "--no-flip", "--batch", "1", *ONE_THREAD]


def results(path):
    """The JSON result without what differs from run to run."""
    found = json.loads(path.read_text())
    del found["seconds"], found["settings"]["running"], found["settings"]["command"]
    return found


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    whole, resumed, cache = tmp_path / "whole.json", tmp_path / "resumed.json", tmp_path / "cache"
    kept_whole = ["--cache", str(tmp_path / "of_whole"), "--json", str(whole)]
    subprocess.run([*EVALUATE, *DEMO, *kept_whole], check=True, capture_output=True)
    finished = run_until_half_done([*EVALUATE, *DEMO], cache)
    # A mark in a finished row shows whether it is measured again.
    rows = np.load(next(cache.glob("*/log_posteriors.npy")), mmap_mode="r+")
    marked = int(np.flatnonzero(finished)[0])
    kept = rows[marked].copy()
    rows[marked] = -np.log(10)  # posteriors all the same
    rows.flush()
    again = subprocess.run([*EVALUATE, *DEMO, "--cache", str(cache)], capture_output=True)
    assert again.returncode == 1  # the mark is a wrong answer, so the errors are not Caffe's
    assert (rows[marked] == np.float32(-np.log(10))).all()
    rows[marked] = kept
    rows.flush()
    command = [*EVALUATE, *DEMO, "--cache", str(cache), "--json", str(resumed)]
    subprocess.run(command, check=True, capture_output=True)
    assert results(resumed) == results(whole)
    assert results(whole)["images_counted"] == 500


@needs_mpi
def test_two_ranks_give_what_one_gives(tmp_path):
    options = ["--demo", "--protocol", "dense", "--scales", "64,72", "--window", "40", *ONE_THREAD]
    for name, launcher in (("one", []), ("two", [mpirun(), "-n", "2"])):
        command = [*launcher, *EVALUATE, *options, "--json", str(tmp_path / f"{name}.json")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    assert results(tmp_path / "two.json") == results(tmp_path / "one.json")
    assert json.loads((tmp_path / "two.json").read_text())["settings"]["running"]["ranks"] == 2


@needs_mpi
def test_ranks_that_outnumber_the_windows_have_nothing_to_do(tmp_path):
    options = ["--demo", "--protocol", "dense", "--scales", "64", "--limit", "20", *ONE_THREAD]
    command = [mpirun(), "-n", "3", *EVALUATE, *options, "--json", str(tmp_path / "r.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "r.json")["images_counted"] == 20


@needs_mpi
def test_an_error_on_one_rank_ends_them_all(images, nets, tmp_path):
    (images / "images" / "val_022.png").write_bytes(b"not a picture")  # in the last window, the second rank's
    network = ["--weights", f"one={nets[0].weights}", "--deploy", str(nets[0].deploy)]
    options = ["--images", str(images / "images"), "--labels", str(images / "val.txt"), "--window", "12"]
    command = [mpirun(), "-n", "2", *EVALUATE, *network, *options, "--scales", "9", *ONE_THREAD]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "error: " in done.stderr, done.stderr
    assert "val_022.png: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_launcher_without_mpi4py_is_an_error(tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise ImportError('not here')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PMI_SIZE": "2"}
    command = [*EVALUATE, "--demo", "--protocol", "dense", "--limit", "5"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("error: started by mpirun, but mpi4py does not load")
