"""Where the time of steps went: how what ranks measured becomes what is told."""

import numpy as np
import pytest

from gen_dist.step_times import MEASURED, PARTS, StepTimes, flat_times, from_record, split_collectives, to_record

COUNTS = np.array([[3.0, 1.0], [0.0, 0.0]])


def measured(**parts):
    """Seconds of each rank, by part."""
    ranks = len(next(iter(parts.values())))
    return np.array([parts.get(part, [0.0] * ranks) for part in MEASURED])


def row(table, part):
    return table[PARTS.index(part)].tolist()


def test_the_rank_that_came_last_waited_for_nobody():
    found = split_collectives(
        measured(forward=[1.0, 3.0, 2.0], reduce=[2.25, 0.25, 1.25], agree=[0.25] * 3, optimise=[0.1] * 3)
    )
    assert row(found, "wait") == [2.0, 0.0, 1.0]
    assert row(found, "exchange") == [0.5, 0.5, 0.5]
    assert row(found, "optimise") == [0.1, 0.1, 0.1]
    assert found.sum(0).tolist() == pytest.approx([3.6, 3.6, 3.6])


def test_who_is_last_may_change_from_phase_to_phase():
    times = StepTimes(steps=1)
    times.add("discriminator", measured(reduce=[1.0, 3.0]), COUNTS)
    times.add("generator", measured(reduce=[4.0, 1.0]), COUNTS)
    assert row(times.by_rank(), "exchange") == [2.0, 2.0]
    assert row(times.by_rank(), "wait") == [3.0, 2.0]


def test_sums_become_seconds_a_step_and_come_back_from_the_record():
    times = StepTimes(steps=2)
    for _ in range(2):
        times.add("discriminator", measured(data_wait=[0.1, 0.3], forward=[1.0, 2.0]), COUNTS)
    times.add("generator", measured(forward=[4.0, 2.0]), 2 * COUNTS)
    record = to_record(times)
    assert record == {
        "discriminator": {"data_wait": [0.1, 0.3], "forward": [1.0, 2.0], "microbatches": [3.0, 1.0]},
        "generator": {"forward": [2.0, 1.0], "microbatches": [3.0, 1.0]},
    }
    again = from_record(record)
    assert again.ranks == 2
    assert again.shares == times.shares == (3.0, 1.0, 3.0, 1.0)
    assert again.by_rank() == pytest.approx(times.by_rank())
    assert times.share(["data_wait"]) == pytest.approx(0.4 / 6.4)


def test_nothing_was_measured():
    assert to_record(StepTimes()) == {}
    assert StepTimes().by_rank().shape == (len(PARTS), 0)
    assert flat_times({}) == {}


def test_series_have_parts_phases_and_ranks():
    flat = flat_times({"vae": {"forward": [1.0, 3.0], "wait": [2.0, 0.0]}})
    assert flat["time/forward"] == flat["time/vae/forward"] == 2.0
    assert flat["time/rank 0/wait"] == 2.0
    assert flat["time/rank 1/wait"] == 0.0
    assert len(flat) == len(PARTS) * 4
