"""The regression command over stored cases: what passes, fails, cannot be compared or run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from golden_suite import ROOT, cases

from vggrepro.cli.check_reference import main

TOOL = Path(__file__).parents[2] / "tools" / "check_reference.py"


def copied(name: str, folder: Path, **changes: np.ndarray) -> Path:
    """A golden case away from its index, with arrays replaced."""
    target = folder / Path(name).name
    shutil.copytree(ROOT / name, target)
    with np.load(target / "io.npz") as arrays:
        io = {**{key: arrays[key] for key in arrays.files}, **changes}
    np.savez(target / "io.npz", **io)
    return target


def report(path: Path) -> dict[str, object]:
    return json.loads(path.read_text())


def test_cases_of_every_kind_as_a_user_runs_them(tmp_path: Path) -> None:
    """Every eighth, and those that have a second call or are random; tests/test_golden_layers.py has all."""
    special = [case for case in cases("layer", "net") if case.about.keys() & {"random", "second_call"}]
    folders = sorted({str(case.folder) for case in [*special, *cases("layer", "net")[::8]]})
    assert len(folders) > 50
    out = tmp_path / "r.json"
    done = subprocess.run(
        [sys.executable, TOOL, *folders, "--quiet", "--json", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stderr == f"{len(folders) - 1} passed, 1 not comparable\n"
    assert report(out)["counts"] == {
        "passed": len(folders) - 1,
        "failed": 0,
        "not comparable": 1,
        "error": 0,
    }


def test_a_table_for_each_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(ROOT / "layers" / "conv_3x3_pad1"), str(ROOT / "nets" / "lenet_train")]) == 0
    printed = capsys.readouterr()
    with np.load(ROOT / "nets" / "lenet_train" / "io.npz") as arrays:
        for key in arrays.files:
            if key.split(":")[0] not in ("in", "dout"):
                assert key in printed.out
    assert printed.err == "2 passed\n"


def test_tolerances_of_the_caller_hold_away_from_an_index(tmp_path: Path) -> None:
    case = copied("layers/conv_3x3_pad1", tmp_path)
    assert main([str(case), "--quiet"]) == 0
    assert main([str(case), "--quiet", "--relative-atol", "0", "--rtol", "0"]) == 1


def test_a_wrong_value_fails_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(ROOT / "nets" / "lenet_train" / "io.npz") as arrays:
        key = next(k for k in arrays.files if k.startswith("dparam:"))
        wrong = arrays[key].copy()
    wrong.reshape(-1)[3] += 0.1
    case = copied("nets/lenet_train", tmp_path, **{key: wrong})
    out = tmp_path / "r.json"
    assert main([str(case), str(ROOT / "layers" / "absval"), "--quiet", "--json", str(out)]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == f"{case}: FAILED: {key}"
    assert printed.err == "1 passed, 1 failed\n"
    bad = [b for b in report(out)["cases"][str(case)]["blobs"] if not b["passed"]]
    assert [b["blob"] for b in bad] == [key]
    assert bad[0]["largest"] == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("kind", ["out2:", "param_after:"])
def test_second_passes_and_moved_parameters_count(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, key = next(
        (folder.name, key)
        for folder in sorted((ROOT / "layers").iterdir())
        for key in np.load(folder / "io.npz").files
        if key.startswith(kind) and not key.endswith(":2")
    )
    with np.load(ROOT / "layers" / name / "io.npz") as arrays:
        wrong = arrays[key] + 1
    case = copied(f"layers/{name}", tmp_path, **{key: wrong})
    assert main([str(case), "--quiet"]) == 1
    assert key in capsys.readouterr().out


def test_another_shape_fails(tmp_path: Path) -> None:
    case = copied("layers/absval", tmp_path, **{"out:y": np.zeros((1, 2), np.float32)})
    assert main([str(case), "--quiet"]) == 1


def test_random_outputs_are_not_passed_over_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    random = str(ROOT / "layers" / "dropout_train")
    assert main([random, str(ROOT / "layers" / "absval"), "--quiet"]) == 0
    printed = capsys.readouterr()
    assert f"{random}: not comparable: its outputs are random" in printed.out
    assert printed.err == "1 passed, 1 not comparable\n"
    assert main([random, "--quiet"]) == 2
    assert "error: no case could be compared" in capsys.readouterr().err


def test_a_case_that_cannot_be_run_stops_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(ROOT / "layers" / "absval" / "io.npz") as arrays:
        y = arrays["out:y"]
    strange = copied("layers/absval", tmp_path, **{"other:y": y})
    absent = copied("layers/absval", tmp_path / "b", **{"param_after:no:0": y})
    cases = [str(strange), str(absent), str(ROOT / "layers" / "absval")]
    assert main([*cases, "--quiet"]) == 2
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.endswith("io.npz: key 'other:y' is of no known kind")
    assert second.endswith("io.npz: 'param_after:no:0': the net has nothing of that name")
    assert third.endswith(": ok")


def test_a_device_that_does_not_work_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(ROOT / "layers" / "absval")] * 3 + ["--device", "gpu"]) == 2
    assert capsys.readouterr().err == "error: device must be cpu, cuda or cuda:N, got 'gpu'\n"
