"""A machine that computes other bits than the others: refused by name, or the run says that it only rounds alike."""

import pytest

from tests.command import gen_dist, last_state
from tests.integration.test_torchrun import SMOKE, assert_refused, torchrun

pytestmark = pytest.mark.faults
BITWISE = "train.reproducibility=bitwise"
MESSAGE = "train.reproducibility 'bitwise': rank 1 on "


def test_under_bitwise_it_is_refused_before_there_is_a_run(tmp_path):
    proof = tmp_path / "fired"
    done = gen_dist(
        "train", "smoke", "--workers", "2", "--run-dir", "run", BITWISE, cwd=tmp_path,
        GEN_DIST_FAULT=f"probe worker=1 proof={proof}",
    )  # fmt: skip
    assert proof.exists(), "the fault never fired"
    assert done.code == 2
    [line] = done.err.strip().splitlines()
    assert MESSAGE in line
    assert "computed other bits than rank 0 on" in line
    assert not (tmp_path / "run").exists()


def test_under_bitwise_torchruns_ranks_are_refused_too(tmp_path):
    proof = tmp_path / "fired"
    ranks = torchrun(tmp_path, *SMOKE, BITWISE, GEN_DIST_FAULT=f"probe worker=1 proof={proof}")
    assert_refused(ranks, MESSAGE)
    assert proof.exists(), "the fault never fired"
    assert not (tmp_path / "run").exists()


def test_under_auto_the_run_goes_on_and_says_what_it_promises(tmp_path):
    proof = tmp_path / "fired"
    done = gen_dist(
        "train", "smoke", "--workers", "3", "--run-dir", "run", "wandb.mode=disabled", cwd=tmp_path,
        GEN_DIST_FAULT=f"probe worker=2 proof={proof}",
    )  # fmt: skip
    assert proof.exists(), "the fault never fired"
    assert done.code == 0, done.err
    assert "rounding, not bitwise: rank 2 on " in done.out
    assert last_state(tmp_path / "run")["step"] == 20
    assert "3 workers, cpu, fp32, rounding" in (tmp_path / "run" / "log.txt").read_text()
