"""Profiles: what is found to be slow, what is said of it, and what is printed and kept."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gen_dist.draws import Draws
from gen_dist.errors import UserError
from gen_dist.presets import load_config
from gen_dist.profiling.advice import advise
from gen_dist.profiling.bottleneck import REMOVALS, find_bottleneck, loading_gain, step_seconds
from gen_dist.profiling.page import profile_page
from gen_dist.profiling.profile import Profile, merge_rows, read_profile
from gen_dist.profiling.sweep import Setting, axes_of, best_lines, sweep_table
from gen_dist.profiling.tables import comparison_table, phase_table, profile_table, shown_ranks
from gen_dist.step_times import MEASURED, PARTS, StepTimes, from_record, to_record

RANKS, STEPS = 3, 20


def simulated(planted=None, amount=0.0, seed=0, shares=(2, 2, 2)):
    """A run of three ranks whose parts take what they take, give or take a tenth; in each phase all wait for the last.

    `planted`: one of REMOVALS, which takes `amount` seconds a step more, all in the first phase; returns its times.
    """
    noise = Draws(seed).at(0, 0, np.arange(STEPS * 2 * RANKS)).uniform("noise", len(MEASURED)).numpy()
    noise = noise.reshape(STEPS, 2, RANKS, len(MEASURED)).transpose(0, 1, 3, 2)
    usual = {"data_wait": 0.001, "forward": 0.015, "backward": 0.03, "optimise": 0.003, "bookkeeping": 0.002,
             "other": 0.001}  # fmt: skip
    extra = {"data": "data_wait", "optimise": "optimise", "bookkeeping": "bookkeeping", "to device": "to_device",
             "other": "other"}  # fmt: skip
    counted = np.array([shares, [0.01] * RANKS], dtype=np.float64)
    times = StepTimes(steps=STEPS)
    for step in range(STEPS):
        for number, phase in enumerate(("discriminator", "generator")):
            table = np.array([[usual.get(part, 0.0)] * RANKS for part in MEASURED]) * (0.9 + 0.2 * noise[step, number])
            for part in ("forward", "backward"):
                table[MEASURED.index(part)] *= shares
            exchange = 0.004
            if number == 0 and planted in extra:
                table[MEASURED.index(extra[planted])] += amount
            if number == 0 and planted == "slow worker":
                table[MEASURED.index("forward"), 1] += amount
            if number == 0 and planted == "exchange":
                exchange += amount
            alone = table.sum(0)
            table[MEASURED.index("reduce")] = alone.max() - alone + exchange
            times.add(phase, table, counted)
    return times


@pytest.mark.parametrize("planted", sorted(REMOVALS.keys() - {"uneven shares"}))
def test_what_is_planted_is_found_and_its_gain_predicted(planted):
    for seed in range(5):
        with_it, without = simulated(planted, 0.08, seed), simulated(seed=seed)
        found = find_bottleneck(with_it)
        assert found.name == planted
        assert found.gain == pytest.approx(step_seconds(with_it) / step_seconds(without), rel=0.1)
        assert found.share == pytest.approx(1 - 1 / found.gain)
        if planted == "slow worker":
            assert found.rank == 1


def test_shares_that_cannot_be_even_are_no_slow_worker():
    uneven, even = simulated(shares=(3, 2, 2)), simulated(shares=(7 / 3, 7 / 3, 7 / 3))
    found = find_bottleneck(uneven)
    assert found.name == "uneven shares"
    assert found.gain == pytest.approx(step_seconds(uneven) / step_seconds(even), rel=0.05)
    said = advise(found, uneven, load_config("dcgan-64"), [])
    assert "ranks own 3, 2, 2 of 4 microbatches" in said


def test_more_loader_threads_help_as_far_as_the_rest_of_a_step_allows():
    times = from_record(
        {"vae": {"data_wait": [0.3, 0.1], "forward": [0.7, 0.9], "loading": [0.8, 0.8], "microbatches": [1, 1]}}
    )
    assert loading_gain(times, 1, 2) == pytest.approx(1 / 0.9)  # the second rank has nothing to win beyond that
    alone = from_record({"vae": {"data_wait": [0.6], "forward": [0.4], "loading": [1.0], "microbatches": [1]}})
    assert loading_gain(alone, 1, 2) == pytest.approx(2.0)
    assert loading_gain(alone, 1, 4) == pytest.approx(2.5)


def test_a_cost_of_one_rank_is_said_to_be_so():
    times = from_record(
        {"vae": {"data_wait": [0.0, 0.5], "forward": [0.5, 0.5], "wait": [0.5, 0.0], "microbatches": [1, 1]}}
    )
    said = advise(find_bottleneck(times), times, load_config("vae-64"), ["here", "there"])
    assert said.startswith("waiting for data of rank 1 on there is the bottleneck, 50% of a step")


def test_ranks_that_are_late_in_turn_are_not_silently_called_computing():
    steps = [[0.0, 0.3], [0.3, 0.0]] * 10
    times = StepTimes(steps=len(steps))
    for late in steps:
        table = np.zeros((len(MEASURED), 2))
        table[MEASURED.index("forward")] = np.array([0.7, 0.7]) + late
        table[MEASURED.index("reduce")] = max(late) - np.array(late)
        times.add("vae", table, np.ones((2, 2)))
    said = advise(find_bottleneck(times), times, load_config("vae-64"), [])
    assert "ranks wait 15% for each other, now one, now another" in said


def test_where_nothing_costs_much_computing_is_the_bottleneck():
    found = find_bottleneck(simulated())
    assert (found.name, found.gain) == ("compute", 1.0)
    assert 0.8 < found.share < 1


def test_no_step_has_no_bottleneck():
    with pytest.raises(ValueError, match="no step"):
        find_bottleneck(StepTimes())


def profile_of(times, **changes):
    hosts, settings = ["here", "there", "far"], {"train.batch_size": 128}
    made = Profile("dcgan-64", settings, hosts, 128, STEPS, step_seconds(times), to_record(times))
    return replace(made, **changes)


WORDS = {
    "data": "waiting for data is the bottleneck, ",
    "slow worker": "rank 1 on there is the bottleneck: the others wait for it, ",
    "exchange": "exchanging gradients is the bottleneck, ",
    "optimise": "the optimiser is the bottleneck, ",
    "bookkeeping": "what is done between phases ",
    "to device": "copying images to the device is the bottleneck, ",
    "other": "spends ",
    None: "computing is the bottleneck: ",
}


@pytest.mark.parametrize("planted", WORDS)
def test_advice_names_the_bottleneck_and_a_key(planted):
    times, config = simulated(planted, 0.08), load_config("dcgan-64", ["cluster.balance=equal"])
    said = advise(find_bottleneck(times), times, config, ["here", "there", "far"])
    assert WORDS[planted] in said
    assert "\n" not in said
    if planted:
        assert " × as fast" in said
    assert planted in ("to device", "other") or any(key in said for key in ("train.", "data.", "cluster.", "--workers"))


def test_tables_show_what_costs_something(tmp_path):
    profile = profile_of(simulated("data", 0.08))
    lines = profile_table(profile)
    assert lines[0].split() == ["milliseconds", "a", "step", "all", "share", "rank", "0", "rank", "1", "rank", "2"]
    assert any(line.startswith("data wait ") for line in lines)
    assert not any(line.startswith("to the device") for line in lines)
    whole = next(line.split() for line in lines if line.startswith("the whole step"))
    assert [float(word) for word in whole[3:]] == pytest.approx([1000 * profile.step_seconds] * 4, rel=1e-3)
    assert "rank 2: far" in lines
    assert phase_table(profile)[0].split()[-2:] == ["discriminator", "generator"]


def test_of_many_ranks_those_at_the_ends_are_shown():
    waits = np.arange(20.0)[::-1]
    record = {"vae": {"wait": waits.tolist(), "forward": [1.0] * 20, "microbatches": [1.0] * 20}}
    profile = Profile("vae-64", {}, [f"host-{i}" for i in range(20)], 64, 1, 20.0, record)
    assert shown_ranks(profile) == [0, 1, 2, 3, 16, 17, 18, 19]
    assert "host-19" in profile_page(profile)
    assert "host-9<" not in profile_page(profile)


def test_a_profile_is_kept_and_compared(tmp_path):
    before, now = profile_of(simulated()), profile_of(simulated("optimise", 0.08), settings={"train.batch_size": 64})
    before.save(tmp_path / "profile.json")
    assert read_profile(tmp_path / "profile.json") == before
    lines = comparison_table(before, now)
    assert lines[0] == "train.batch_size: 128 before, 64 now"
    assert lines[2].startswith("optimiser ")
    assert lines[-1].startswith("slower than before: 0.7")
    assert comparison_table(before, before)[-1] == "as fast as before: 1.00 × the images per second"


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": 0}', '{"format": 1, "images_per_second": 1}'])
def test_what_is_no_profile_is_refused(damage, tmp_path):
    path = tmp_path / "profile.json"
    path.write_text(damage)
    with pytest.raises(UserError, match=r"profile '.*': not a profile of this version; make it anew"):
        read_profile(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_profile(tmp_path / "none.json")


def test_a_profile_whose_table_does_not_fit_its_hosts_is_refused(tmp_path):
    profile_of(simulated()).save(tmp_path / "profile.json")
    facts = json.loads((tmp_path / "profile.json").read_text())
    facts["hosts"] = facts["hosts"][:1]
    (tmp_path / "profile.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="not a profile"):
        read_profile(tmp_path / "profile.json")


def test_rows_are_averaged_and_rare_phases_count_as_often_as_they_come():
    rows = [{"discriminator": {"forward": [1.0, 2.0]}}, {"discriminator_r1": {"forward": [4.0, 4.0]}}]
    assert merge_rows(rows) == {
        "discriminator": {"forward": [0.5, 1.0]}, "discriminator_r1": {"forward": [2.0, 2.0]}
    }  # fmt: skip
    with pytest.raises(ValueError, match="ranks"):
        merge_rows([{"vae": {"forward": [1.0]}}, {"vae": {"forward": [1.0, 1.0]}}])
    with pytest.raises(ValueError, match="ranks"):
        merge_rows([])


def test_the_page_needs_nothing_else_and_trusts_no_name():
    profile = replace(profile_of(simulated()), hosts=["<b>", "there", "far"], advice="1 < 2")
    page = profile_page(profile, profile)
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "1 &lt; 2" in page
    assert "http" not in page
    assert page.count('class="bar"') == RANKS
    assert "Since the other profile" in page


def test_sweeps_try_settings_with_several_values():
    axes, fixed = axes_of(["microbatch_size=16,32", "workers=1,2", "data.size=64", "model.layers=[fc1, fc2]"])
    assert axes == {"train.microbatch_size": ["16", "32"], "workers": ["1", "2"]}
    assert fixed == ["data.size=64", "model.layers=[fc1, fc2]"]
    assert axes_of(["objective.diffaugment=[color],[color,cutout]"])[0] == {
        "objective.diffaugment": ["[color]", "[color,cutout]"]
    }
    assert axes_of(["data.path=/a,b"]) == ({}, ["data.path=/a,b"])


@pytest.mark.parametrize("bad", [["workers="], ["threads=1,,2"], ["threads=1,2", "train.threads=3"]])
def test_sweeps_without_sense_are_refused(bad):
    with pytest.raises(UserError, match="empty value|given twice"):
        axes_of(bad)


def test_the_best_of_a_sweep_can_be_pasted():
    def of(size, workers):
        return Setting("train.microbatch_size", size), Setting("workers", workers)

    rates = {of("16", "1"): 10.0, of("32", "2"): 30.0, of("32", "1"): 20.0, of("7", "1"): "train.batch_size: no"}
    table = sweep_table(rates)
    assert [line.split() for line in table[:2]] == [["images/s", "train.microbatch_size", "workers"], ["30", "32", "2"]]
    assert table[-1] == "not measured: train.microbatch_size=7 workers=1: train.batch_size: no"
    best = best_lines(rates)
    assert best[:3] == ["best:", "train.microbatch_size=32", "--workers 2"]
    assert "decide the result too" in best[3]
    assert best_lines({of("7", "1"): "no"}) == ["nothing could be measured"]


def test_parts_of_every_table_are_named():
    from gen_dist.profiling.page import COLORS
    from gen_dist.profiling.tables import TITLES

    assert tuple(TITLES) == tuple(COLORS) == PARTS
