"""`gen-dist profile`: what was planted is named, the files are whole, and parts are measured alone."""

import json

import pytest

from gen_dist.profiling.profile import read_profile
from tests.command import gen_dist, train

SMALL = ["smoke", "train.threads=1", "cluster.balance=equal"]


def test_a_slow_worker_is_named_and_the_files_are_whole(tmp_path):
    fault = f"slow worker=1 stage=compute seconds=0.3 proof={tmp_path}/fired"
    done = gen_dist(
        "profile", *SMALL, "--workers", "2", "--steps", "4", "--out", "slow", cwd=tmp_path, GEN_DIST_FAULT=fault
    )
    assert done.code == 0, done.err
    assert (tmp_path / "fired").exists()
    assert "rank 1 on " in done.out
    assert "cluster.balance=auto lets it own fewer microbatches" in done.out
    assert "run folder" not in done.out
    profile = read_profile(tmp_path / "slow" / "profile.json")
    assert (profile.bottleneck, profile.steps, len(profile.hosts)) == ("slow worker", 4, 2)
    whole = profile.step_times.by_rank().sum(0)
    assert whole == pytest.approx([profile.step_seconds] * 2, rel=0.3)
    assert profile.step_times.share(["other"]) < 0.1
    trace = json.loads((tmp_path / "slow" / "trace.json").read_bytes())["traceEvents"]
    assert {event["pid"] for event in trace} == {0, 1}
    phases = [event["name"] for event in trace if event["ph"] == "X" and event["pid"] == 0 and event["tid"] == 0]
    assert phases.count("discriminator") == phases.count("generator") >= 4
    assert "rank 1 on" in (tmp_path / "slow" / "profile.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fired", "slow"]

    again = gen_dist(
        "profile", *SMALL, "--workers", "2", "--steps", "4", "--out", "now", "--compare", "slow", cwd=tmp_path
    )
    assert again.code == 0, again.err
    assert "faster than before: " in again.out
    assert "Since the other profile" in (tmp_path / "now" / "profile.html").read_text()


def test_a_sweep_ends_with_the_best_settings_and_tells_why_others_were_not_measured(tmp_path):
    done = gen_dist(
        "profile", "smoke", "--sweep", "microbatch_size=8,16,5", "--no-ray", "--steps", "2", cwd=tmp_path
    )  # fmt: skip
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split() == ["images/s", "train.microbatch_size"]
    rates = [float(line.split()[0]) for line in lines[1:3]]
    assert rates == sorted(rates, reverse=True)
    assert "not measured: train.microbatch_size=5: train.batch_size 32: not divisible" in done.out
    best = lines[1].split()[1]
    assert f"best:\ntrain.microbatch_size={best}\n" in done.out
    assert not list(tmp_path.iterdir())


def test_a_runs_own_record_is_read(tmp_path):
    run = train(tmp_path, "run", "smoke", "--workers", "2", "train.steps=9", "train.trace_steps=3", "train.log_every=2")
    done = gen_dist("profile", "run", "--out", "told", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "is the bottleneck" in done.out
    profile = read_profile(tmp_path / "told" / "profile.json")
    assert [len(host) > 0 for host in profile.hosts] == [False, False]  # too short to be traced: shares settle first
    assert list(profile.times) == ["discriminator", "generator"]
    refused = gen_dist("profile", "run", "train.threads=2", cwd=tmp_path)
    assert (refused.code, "is a run, whose record is read" in refused.err) == (2, True)
    (run / "metrics.jsonl").write_text("")
    empty = gen_dist("profile", "run", cwd=tmp_path)
    assert (empty.code, "no steps with times are recorded yet" in empty.err) == (2, True)


@pytest.mark.parametrize(
    ("part", "options", "said"),
    [
        ("loader", ["--no-ray"], "loader alone: "),
        ("compute", ["--no-ray"], "computing alone: "),
        ("reduce", ["--workers", "2"], "exchanging alone: "),
    ],
)
def test_a_part_alone(part, options, said, tmp_path):
    done = gen_dist("profile", *SMALL, "--what", part, "--steps", "3", *options, cwd=tmp_path)
    assert done.code == 0, done.err
    assert said in done.out
    assert not list(tmp_path.iterdir())
