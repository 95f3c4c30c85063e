"""`make presets`: what it trains on, what it takes for a good run, and when it believes an earlier one."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.presets import Result, Wrong, check_record, parse_options, plan, saved, table
from tests.small_runs import make_run

ROWS = [
    {"step": step, "train/discriminator_loss": 1 / step, "train/real_score": 0.5, "perf/step_seconds": 0.1 * step}
    for step in (1, 2, 3)
]
RESULT = Result("", "smoke", "x", 32, {"generator": 18_928}, 5.0, 0.1, 1.0, {"train/loss": 2.0}, {"train/loss": 1.0})


def test_a_good_record(tmp_path):
    losses, seconds = check_record(make_run(tmp_path / "run", ROWS), 3)
    assert [row["train/discriminator_loss"] for row in losses] == [1.0, 0.5, 1 / 3]
    assert seconds == pytest.approx(0.2)


BAD = {
    "a step is missing": ([ROWS[0], ROWS[2]], "each of 3 steps once"),
    "a step came twice": ([*ROWS, ROWS[2]], "each of 3 steps once"),
    "infinite": ([*ROWS[:2], ROWS[2] | {"train/real_score": math.inf}], "train/real_score is inf at step 3"),
    "nothing was learnt": ([row | {"train/discriminator_loss": 1.0} for row in ROWS], "train/discriminator_loss never"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_record(case, tmp_path):
    rows, message = BAD[case]
    with pytest.raises(Wrong, match=message):
        check_record(make_run(tmp_path / "run", rows), 3)


@pytest.mark.parametrize(
    ("preset", "data", "path"),
    [
        ("dcgan-64", {}, "/emoji.npy"),
        ("dcgan-64", {"folder": "/mine", "mnist": "/digits"}, "/mine"),
        ("dcgan-64", {"folder": "/mine", "dcgan-64": "/other"}, "/other"),
        ("vae-mnist", {"folder": "/mine", "mnist": "/digits"}, "/digits"),
        ("vae-mnist", {"folder": "/mine"}, "/emoji.npy"),
        ("smoke", {"folder": "/mine"}, "bundled:emoji"),
    ],
)
def test_what_it_trains_on(preset, data, path):
    task = plan(preset, data, Path("/emoji.npy"), 30)
    assert task.data == task.config.data.path == path
    assert task.config.data.prepare.gray == (preset == "vae-mnist")


def test_an_earlier_result_counts_for_the_same_settings(tmp_path):
    task, file = plan("smoke", {}, Path("/emoji.npy"), 30), tmp_path / "smoke.json"
    assert saved(file, task) is None
    result = replace(RESULT, settings=task.settings)
    file.write_text(json.dumps(asdict(result)))
    assert saved(file, task) == result
    assert saved(file, plan("smoke", {}, Path("/emoji.npy"), 20)) is None
    assert saved(file, plan("smoke", {"smoke": "/other"}, Path("/emoji.npy"), 30)) is None


def test_the_table():
    assert table([RESULT])[-1] == "| smoke | 0.02 M | 32 | 0.1 | 5 | 1.0 | loss 2 → 1 |"


@pytest.mark.parametrize("options", [["smok"], ["--data", "mnist"], ["--steps", "2"]])
def test_bad_options(options, capsys):
    with pytest.raises(SystemExit):
        parse_options(options)
    assert "smok" in capsys.readouterr().err or options[0] != "smok"
