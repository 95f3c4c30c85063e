"""Curves for machines that are not there: the closed form agrees with the model that goes link by link."""

import pytest

from gen_dist.cluster import step_time
from gen_dist.cluster.link_ends import Link
from gen_dist.cluster.projection import curve, project, where_half_is_lost, where_it_stops
from gen_dist.cluster.step_time import Batch, Cluster, Machine, predict
from gen_dist.engine.costs import Costs, PhaseCosts, Sent
from gen_dist.launch.plan import parse_bandwidths, parse_latency

COSTS = Costs((
    PhaseCosts("discriminator", 1.0, 0.2, 0.03, (Sent(4_000_000, 0.05), Sent(6_000_000, 0.01), Sent(400, 0.0))),
    PhaseCosts("generator", 0.5, 0.3, 0.02, (Sent(14_000_000, 0.02), Sent(300, 0.0))),
))  # fmt: skip


@pytest.mark.parametrize("ring", [False, True])
@pytest.mark.parametrize("megabits", [100, 1000, 10_000])
@pytest.mark.parametrize("workers", [1, 2, 3, 5, 8, 16])
def test_equal_machines_are_predicted_as_link_by_link(workers, megabits, ring):
    link = Link(megabits * 1e6 / 8, 2e-4)
    machines = [Machine(f"host-{i}", {1: COSTS}) for i in range(workers)]
    links = {(i, j): link for i in range(workers) for j in range(workers)}
    expected = predict(Cluster(machines, links), range(workers), Batch(16, 128, balanced=False), ring)
    found = project(COSTS, link, workers, 16, 128, ring)
    assert found.parts.seconds == pytest.approx(expected.parts.seconds)
    assert found.parts.exchange == pytest.approx(expected.parts.exchange)
    assert found.efficiency == pytest.approx(expected.efficiency)


def test_with_a_part_of_its_own_each_the_step_grows_by_what_is_exchanged_only(monkeypatch):
    monkeypatch.setattr(step_time, "MESSAGE_SECONDS", 0.0)
    fast, slow = Link(100e9 / 8, 0.0), Link(100e6 / 8, 0.0)
    numbers = [1, 4, 64, 1024]
    points = curve(COSTS, fast, numbers, 4, 128, ring=False, weak=True)
    assert [point.images for point in points] == [128, 512, 8192, 131072]
    assert len({round(point.parts.compute, 9) for point in points}) == 1
    assert points[-1].efficiency > 0.98
    assert where_it_stops(points) is None
    assert curve(COSTS, slow, numbers, 4, 128, ring=False, weak=True)[-1].efficiency < 0.5


def test_a_step_of_one_size_is_not_divided_among_more_workers_than_microbatches():
    points = curve(COSTS, Link(1e9, 1e-4), [1, 2, 4, 8, 16, 32], 16, 128, ring=False, weak=False)
    assert [point.workers for point in points] == [1, 2, 4, 8, 16]


def test_where_twice_the_workers_hardly_gain_it_stops_paying():
    slow = curve(COSTS, Link(1e6, 1e-3), [1, 2, 4, 8, 16], 16, 128, ring=False, weak=False)
    assert where_it_stops(slow) == 1
    assert where_half_is_lost(slow) == 2
    late = curve(COSTS, Link(1e9, 1e-2), [2**n for n in range(11)], 4, 128, ring=True, weak=True)
    stop, rates = where_it_stops(late), {point.workers: point.images_per_second for point in late}
    assert 64 < stop < 1024
    assert rates[2 * stop] < 1.1 * rates[stop]
    assert all(rates[2 * n] >= 1.1 * rates[n] for n in rates if n < stop)


def test_a_curve_that_falls_once_and_rises_again_has_not_stopped():
    dips = curve(COSTS, Link(100e6 / 8, 1e-4), [1, 2, 4, 8, 16], 4, 128, ring=False, weak=True)
    assert dips[1].images_per_second < 1.1 * dips[0].images_per_second
    assert where_it_stops(dips) is None


def test_rates_and_times_are_written_with_their_units():
    assert parse_bandwidths("100Mbit,1Gbit, 2.5gbit") == [100e6 / 8, 1e9 / 8, 2.5e9 / 8]
    assert parse_latency("0.1ms") == pytest.approx(1e-4)
    assert parse_latency("50us") == pytest.approx(5e-5)
