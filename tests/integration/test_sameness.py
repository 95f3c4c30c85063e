"""Through the command line: the number of workers, who owns what and who started them do not change a bit."""

import socket
import sys
from pathlib import Path

import pytest

from tests.command import last_state, losses, rows, train

FAMILIES = {
    "vae": ["vae-emoji"],
    "dcgan": ["smoke"],
}
COMMON = ["train.steps=20", "train.batch_size=32", "train.microbatch_size=8", "train.precision=fp32",
          "train.log_every=1", "train.sample_every=20", "train.checkpoint_every=20", "train.hash_every=5"]  # fmt: skip
WAYS = {
    "one Ray worker": ["--workers", "1"],
    "two Ray workers": ["--workers", "2"],
    "two Ray workers that own 3 and 1": ["--workers", "2", "cluster.shares=[3,1]"],
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory) -> tuple[list[str], Path, Path]:
    """The arguments of a family, a folder, and its run in one plain process."""
    arguments = [*FAMILIES[request.param], *COMMON]
    cwd = tmp_path_factory.mktemp(request.param)
    return arguments, cwd, train(cwd, "plain", *arguments, "--no-ray")


def compare(first: Path, second: Path) -> None:
    assert list(losses(first)) == list(range(1, 21))
    assert losses(second) == losses(first)
    assert hashes(second) == hashes(first)
    assert len(hashes(first)) == 4
    assert last_state(second)["hash"] == last_state(first)["hash"]


def hashes(run: Path) -> dict[int, str]:
    return {int(row["step"]): str(row["state_hash"]) for row in rows(run) if "state_hash" in row}


@pytest.mark.parametrize("way", WAYS)
def test_the_run_is_that_of_one_plain_process(way, family):
    arguments, cwd, plain = family
    compare(plain, train(cwd, way.replace(" ", "-"), *arguments, *WAYS[way]))


def test_in_rounding_mode_losses_agree_closely(family):
    arguments, cwd, plain = family
    shares = "cluster.shares=[3,1]"  # equal ones would be summed as in the tree
    ddp = train(cwd, "ddp", *arguments, "--workers", "2", shares, "train.reducer=ddp", "train.reproducibility=rounding")
    assert list(losses(ddp)) == list(range(1, 21))
    assert losses(ddp) != losses(plain)
    for step, values in losses(plain).items():
        for name, value in values.items():
            if "gradient_norm" not in name:  # which is more sensitive in networks this small
                nearly = 1e-4 if step <= 10 else 1e-3  # rounding grows, on some processors faster than on others
                assert losses(ddp)[step][name] == pytest.approx(value, rel=nearly), f"step {step}, {name}"


def test_a_run_under_torchrun_is_the_same(family):
    import subprocess

    from tests.command import environment

    arguments, cwd, plain = family
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1",
               f"--master-port={port}", "-m", "gen_dist.launch.cli", "train", *arguments, "--no-ray",
               "--run-dir", "torchrun", "wandb.mode=disabled"]  # fmt: skip
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    compare(plain, cwd / "torchrun")


def test_another_seed_gives_other_losses(family):
    """The comparison can fail."""
    arguments, cwd, plain = family
    other = train(cwd, "other", *arguments, "--no-ray", "seed=1")
    with pytest.raises(AssertionError):
        compare(plain, other)
