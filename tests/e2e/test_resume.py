"""A run that is interrupted and goes on is the run that was left alone."""

import json
import os
import signal
import time

import pytest

from tests.command import finish, gen_dist, last_state, losses, reached, rows, start, traces, train, wait_for

# Dropout, batch norm, EMA, flips and noise; 1220 images in batches of 32: step 45 is in the second pass.
ARGUMENTS = ["smoke", "train.steps=45", "train.checkpoint_every=100", "train.sample_every=15", "model.dropout=0.2",
             "objective.instance_noise=0.05", "data.augment.horizontal_flip=true"]  # fmt: skip
WAYS = {"plain": ["--no-ray"], "ray": ["--workers", "2"]}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_interrupted_and_resumed_it_ends_like_one_left_alone(way, number, code, tmp_path):
    alone = train(tmp_path, "alone", *ARGUMENTS, *WAYS[way])
    process = start(["train", *ARGUMENTS, *WAYS[way], "--run-dir", "cut", "wandb.mode=disabled"], tmp_path)
    cut = tmp_path / "cut"
    wait_for(reached(cut, 8))
    process.send_signal(number)
    done = finish(process)
    assert done.code == code, done.err
    stopped = last_state(cut)["step"]
    assert 8 <= stopped < 45
    assert f"stopped after step {stopped}; to go on: gen-dist train --resume" in done.out
    assert traces(process.pid) == []
    status = json.loads((cut / "status.json").read_text())
    assert (status["state"], status["step"]) == ("stopped", stopped)

    command = done.out.partition("to go on: gen-dist ")[2].splitlines()[0]
    again = gen_dist(*command.split(), cwd=tmp_path)
    assert again.code == 0, again.err
    assert [row["step"] for row in rows(cut)] == list(range(1, 46))
    assert losses(cut) == losses(alone)
    assert last_state(cut)["hash"] == last_state(alone)["hash"]


def test_the_worker_count_may_change_when_resuming(tmp_path):
    alone = train(tmp_path, "alone", "smoke", "--no-ray")
    cut = train(tmp_path, "cut", "smoke", "--workers", "2", "train.steps=9")
    train(tmp_path, "cut", "smoke", "--no-ray")
    assert list(losses(cut)) == list(range(1, 21))
    assert losses(cut) == losses(alone)
    assert last_state(cut)["hash"] == last_state(alone)["hash"]


def test_stop_from_another_terminal(tmp_path):
    process = start(["train", *ARGUMENTS, "--no-ray", "train.steps=100000", "--run-dir", "run"], tmp_path)
    wait_for(reached(tmp_path / "run", 3))
    watching = gen_dist("status", "run", cwd=tmp_path)
    assert "running" in watching.out
    assert "of 100000" in watching.out
    stopping = gen_dist("stop", "run", cwd=tmp_path)
    done = finish(process)
    assert (stopping.code, done.code) == (0, 0), done.err
    assert "stopped after step" in stopping.out
    again = gen_dist("stop", "run", cwd=tmp_path)
    assert again.code == 2
    assert "nothing is running there (it stopped)" in again.err


def test_a_second_sigint_stops_at_once_and_leaves_nothing(tmp_path):
    slow = ["train", "smoke", "train.batch_size=4096", "train.microbatch_size=1024", "train.steps=1000"]
    process = start([*slow, "--workers", "2", "--run-dir", "run", "wandb.mode=disabled"], tmp_path)
    wait_for(reached(tmp_path / "run", 1))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    done = finish(process, 20)
    assert done.code == 130
    assert "Traceback" not in done.err
    assert traces(process.pid) == []


def test_init_from_starts_at_step_0_with_the_weights_of_another_run(tmp_path):
    train(tmp_path, "first", "smoke", "--no-ray")
    second = train(tmp_path, "second", "smoke", "--no-ray", "--init-from", "first", "seed=5", "train.steps=2")
    fresh = train(tmp_path, "fresh", "smoke", "--no-ray", "seed=5", "train.steps=2")
    assert last_state(second)["step"] == 2
    assert losses(second)[1]["train/discriminator_loss"] < 0.9 * losses(fresh)[1]["train/discriminator_loss"]


def test_a_run_replays_from_its_own_config(tmp_path):
    first = train(tmp_path, "first", "smoke", "--no-ray", "model.dropout=0.1")
    second = train(tmp_path, "second", "first/config.yaml", "--no-ray")
    assert last_state(second)["hash"] == last_state(first)["hash"]


def test_a_signal_to_the_whole_process_group_still_finishes_the_step(tmp_path):
    """As a closing terminal, `timeout` or a batch system sends it: to Ray's processes too."""
    process = start(["train", *ARGUMENTS, "--workers", "2", "--run-dir", "run", "wandb.mode=disabled"], tmp_path)
    wait_for(reached(tmp_path / "run", 3))
    os.killpg(process.pid, signal.SIGTERM)
    done = finish(process)
    assert done.code == 143, done.err
    assert f"stopped after step {last_state(tmp_path / 'run')['step']}" in done.out
    assert traces(process.pid) == []


@pytest.mark.parametrize("seconds", [0.7, 1.6, 2.6])
def test_a_signal_before_the_first_step_ends_at_once_and_leaves_nothing(seconds, tmp_path):
    process = start(["train", "smoke", "--workers", "2", "--run-dir", "run", "train.steps=100000"], tmp_path)
    time.sleep(seconds)  # while Ray starts, or the workers do
    process.send_signal(signal.SIGTERM)
    done = finish(process, 20)
    assert done.code == 143, done.err
    assert "Traceback" not in done.err
    assert traces(process.pid) == []
    if "step 1/" not in done.out:
        assert not (tmp_path / "run").exists()
