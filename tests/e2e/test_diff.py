"""`gen-dist diff`, on runs as `gen-dist train` leaves them."""

import shutil
from pathlib import Path

import pytest

from tests.command import gen_dist, losses, train

ARGUMENTS = ["smoke", "--no-ray", "train.steps=4", "train.checkpoint_every=2", "train.sample_every=100"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("diff")
    train(cwd, "first", *ARGUMENTS)
    train(cwd, "same", *ARGUMENTS, "data.loader_threads=2")
    train(cwd, "other", *ARGUMENTS, "seed=1")
    (cwd / "empty").mkdir()
    for name in ("torn-metrics", "torn-state", "later"):
        shutil.copytree(cwd / "first", cwd / name)
    (cwd / "torn-metrics" / "metrics.jsonl").write_text('{"step": 1\n{"step": 2}\n')
    (cwd / "torn-state" / "checkpoints" / "step-00000002" / "state.json").write_text("{")
    (cwd / "later" / "metrics.jsonl").write_text('{"step": 9, "train/generator_loss": 1.0}\n')
    shutil.rmtree(cwd / "later" / "checkpoints")
    return cwd


def test_a_setting_that_does_not_change_the_result(place):
    done = gen_dist("diff", "first", "same", cwd=place)
    assert done.code == 0, done
    assert "data.loader_threads  1  2" in done.out
    assert "* " not in done.out
    assert done.out.splitlines()[-1].startswith("verdict   identical")
    assert done.err == ""


def test_another_seed(place):
    done = gen_dist("diff", "first", "other", cwd=place)
    assert done.code == 1, done
    for line in (
        "* seed  0  1",
        "steps 1 to 4 in both, different first at step 1",
        f"a {losses(place / 'first')[1]['train/discriminator_loss']!r}",
        f"b {losses(place / 'other')[1]['train/discriminator_loss']!r}",
        "in the checkpoints of step 2, the first that differs:",
        "ema.safetensors: generator.",
        "largest absolute difference ",
        "verdict   different, first at step 1",
    ):
        assert line in done.out
    assert done.err == ""


BAD = {
    "one run": (["first"], "Missing argument 'RUN_B'"),
    "itself": (["first", "./first/../first"], "the same folder as RUN_A"),
    "no folder": (["first", "nowhere"], "run folder 'nowhere': no such folder"),
    "no run": (["empty", "first"], "run folder 'empty': holds no run"),
    "torn metrics": (["first", "torn-metrics"], "metrics.jsonl': line 1 is damaged"),
    "torn state": (["torn-state", "first"], "state.json': is damaged"),
    "nothing in common": (["first", "later"], "no step in common (steps 1 to 4; step 9); train both"),
}


@pytest.mark.parametrize("row", BAD)
def test_bad_input(row, place):
    arguments, message = BAD[row]
    done = gen_dist("diff", *arguments, cwd=place)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1
