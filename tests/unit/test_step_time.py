"""Predicted step times, worked by hand."""

import pytest

from gen_dist.cluster import step_time
from gen_dist.cluster.link_ends import Link
from gen_dist.cluster.step_time import Batch, Cluster, Machine, predict
from gen_dist.engine.costs import Costs, PhaseCosts, Sent, blend

MB = 1_000_000


@pytest.fixture(autouse=True)
def cost_of_messages(monkeypatch):
    """None but where it is what is tested."""
    monkeypatch.setattr(step_time, "MESSAGE_SECONDS", 0.0)


def costs(microbatch, fixed=0.0, sent=(), count=1.0, name="all"):
    return Costs((PhaseCosts(name, count, microbatch, fixed, tuple(Sent(*vector) for vector in sent)),))


def cluster(*machines, megabytes=10.0, latency=0.0):
    """Machines of {workers at once: costs}; every link alike."""
    links = {(i, j): Link(megabytes * MB, latency) for i in range(len(machines)) for j in range(len(machines))}
    return Cluster([Machine("abcde"[i], known) for i, known in enumerate(machines)], links)


def of(found):
    return found.parts.compute, found.parts.exchange, found.parts.latency, found.parts.fixed


def test_one_worker_computes_all_and_sends_nothing():
    found = predict(cluster({1: costs(0.5, 0.25, [(8 * MB, 0.1)])}, latency=1.0), [0], Batch(4, 128, True))
    assert of(found) == (2.0, 0.0, 0.0, 0.25)
    assert (found.images_per_second, found.efficiency, found.bottleneck) == (128 / 2.25, 1.0, "compute")


def test_what_leaves_during_the_last_backward_pass_costs_nothing_until_it_is_too_much():
    # Each rank sends half of every bucket, 4 and 2 MB, at 10 MB/s; then half of the sums, as much again.
    machine = {1: costs(1.0, 0.125, [(8 * MB, 0.5), (4 * MB, 0.0)])}
    found = predict(cluster(machine, machine), [0, 1], Batch(4, 64, True))
    # 8 MB: from 1.5 to 1.9. 4 MB: from 2.0 to 2.2. Sums: 0.4 and 0.2 more.
    assert of(found) == pytest.approx((2.0, 0.8, 0.0, 0.125))
    assert found.parts.seconds == pytest.approx(2.925)
    assert found.efficiency == pytest.approx((4.125 / 2) / 2.925)
    assert found.bottleneck == "network: 80 Mbit/s from a to b"


@pytest.mark.parametrize(
    ("ring", "trips", "messages"),
    # Four others: pieces in and sums out, of what is sent and of the agreement; of the first also out and in, but in
    # a ring every rank takes part in every sum.
    [(False, 4 + 4, 2 * 4 * 2 + 2 * 4), (True, 4 + 2 * 4, 4 * 4 * 2)],
)
def test_latency_counts_the_trips_of_the_exchange_and_of_the_agreement(ring, trips, messages, monkeypatch):
    machine = {1: costs(0.01, 0.0, [(320, 0.0)])}
    monkeypatch.setattr(step_time, "MESSAGE_SECONDS", 0.25)
    found = predict(cluster(*[machine] * 5, latency=0.125), range(5), Batch(5, 5, True), ring)
    assert found.parts.latency == trips * 0.125 + messages * 0.25
    assert found.bottleneck == "latency between machines"
    together = predict(cluster({3: costs(0.01, 0.0, [(0, 0.0)])}, latency=0.125), [0, 0, 0], Batch(3, 3, True))
    assert together.parts.latency == 8 * 0.125  # nothing leaves the machine


@pytest.mark.parametrize(("megabytes", "exchange"), [(10, 0.15 + 0.3 + 0.3), (2, 0.75 + 1.5 + 1.5)])
def test_a_rank_with_two_pieces_sends_one_while_it_computes_the_other(megabytes, exchange):
    machine = {1: costs(1.0, 0.0, [(6 * MB, 0.0)])}
    # Shares 3 and 1 of 4: rank 0 has the pieces 0 to 1, whose 3 MB go to rank 1 from 2.0 on, and 2, from 3.0 on, and
    # later by half of what the first takes the network; then 3 MB of sums.
    found = predict(cluster(machine, machine, megabytes=megabytes), [0, 1], Batch(4, 4, False, [3, 1]))
    assert of(found) == pytest.approx((3.0, exchange, 0.0, 0.0))


def test_a_ring_sends_as_much_whatever_the_shares():
    machine = {1: costs(1.0, 0.0, [(6 * MB, 0.0)])}
    # 2 (W - 1) / W of it.
    found = predict(cluster(machine, machine), [0, 1], Batch(4, 4, False, [3, 1]), ring=True)
    assert of(found) == pytest.approx((3.0, 0.6, 0.0, 0.0))


def test_a_machine_sends_to_two_others_no_faster_than_to_one():
    machine = {1: costs(1.0, 0.0, [(6 * MB, 0.0)])}
    found = predict(cluster(machine, machine, machine), [0, 1, 2], Batch(3, 3, True))
    # 2 MB to each of two others: 0.4 s, and 0.4 s of sums.
    assert of(found) == pytest.approx((1.0, 0.8, 0.0, 0.0))


def test_the_slowest_link_counts():
    machine = {1: costs(1.0, 0.0, [(6 * MB, 0.0)])}
    slow = cluster(machine, machine, machine)
    links = dict(slow.links) | {(2, 1): Link(1 * MB, 0.0)}
    found = predict(Cluster(slow.machines, links), [0, 1, 2], Batch(3, 3, True))
    assert found.parts.exchange == pytest.approx(2 * 2.0)
    assert found.bottleneck == "network: 8 Mbit/s from c to b"


@pytest.mark.parametrize(
    ("batch", "shares", "compute"),
    [
        (Batch(8, 8, True), (6, 2), 6.0),
        (Batch(8, 8, False), (4, 4), 12.0),
        (Batch(8, 8, True, [5, 3]), (5, 3), 9.0),
    ],
)
def test_shares(batch, shares, compute):
    found = predict(cluster({1: costs(1.0)}, {1: costs(3.0)}), [0, 1], batch)
    assert (found.shares, found.parts.compute) == (shares, compute)


def test_shares_stay_in_blocks_where_the_network_is_slow():
    machines = {1: costs(5.0, 0.0, [(600 * MB, 0.0)])}, {1: costs(7.0, 0.0, [(600 * MB, 0.0)])}
    # A piece takes 300 MB / 10 MB/s: 7 and 5, three pieces, would be 20 + 90 + 30.
    found = predict(cluster(*machines), [0, 1], Batch(12, 12, True))
    assert found.shares == (8, 4)
    assert of(found) == pytest.approx((40.0, 60.0, 0.0, 0.0))
    assert predict(cluster(*machines, megabytes=1000.0), [0, 1], Batch(12, 12, True)).shares == (7, 5)
    assert predict(cluster(*machines), [0, 1], Batch(12, 12, True), ring=True).shares == (7, 5)


def test_shares_stay_equal_where_a_run_would_leave_them_so():
    found = predict(cluster({1: costs(1.0)}, {1: costs(1.05)}), [0, 1], Batch(64, 64, True))
    assert found.shares == (32, 32)  # 33 and 31 would gain 2 %


def test_microbatches_that_cannot_be_divided_are_named():
    found = predict(cluster(*[{1: costs(1.0)}] * 3), [0, 1, 2], Batch(4, 4, True))
    assert found.parts.compute == 2.0
    assert found.efficiency == pytest.approx(2 / 3)
    assert found.bottleneck == "rank 0 on a: others wait while it computes its 2 microbatches of 4"


def test_workers_of_one_machine_that_slow_each_other_down():
    machine = {1: costs(1.0), 3: costs(2.0)}
    assert Machine("a", machine).among(2) == costs(1.5)
    assert Machine("a", machine).among(3) == Machine("a", machine).among(5) == costs(2.0)
    found = predict(cluster(machine), [0, 0, 0], Batch(6, 6, True))
    assert (found.parts.compute, found.efficiency) == (4.0, 0.5)
    assert found.bottleneck == "3 workers slow each other down on a"


def test_what_is_not_divided_is_named():
    machine = {1: costs(1.0, 2.0)}
    found = predict(cluster(machine, machine), [0, 1], Batch(2, 2, True))
    assert of(found) == (1.0, 0.0, 0.0, 2.0)
    assert found.bottleneck == "norms and optimiser, which every worker does whole"


def test_phases_count_as_often_as_steps_have_them():
    known = Costs(costs(1.0, 0.5, name="d").phases + costs(3.0, 1.0, count=0.25, name="g").phases)
    assert (known.microbatch, known.fixed) == (1.75, 0.75)
    found = predict(cluster({1: known}), [0], Batch(4, 4, True))
    assert of(found) == (7.0, 0.0, 0.0, 0.75)


def test_blending_takes_the_phases_of_the_first():
    one = costs(1.0, 2.0, [(8, 1.0)], name="d")
    other = Costs(costs(3.0, 6.0, [(8, 0.5)], name="d").phases + costs(9.0, name="extra").phases)
    assert blend([(one, 0.5), (other, 0.5)]) == costs(2.0, 4.0, [(8, 0.75)], name="d")
    assert blend([(other, 0.5), (one, 0.5)]).phases[1] == costs(9.0, name="extra").phases[0]
