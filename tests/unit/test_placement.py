"""Who runs where, without a cluster."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen_dist.cluster.placement import SPARE_BYTES, Node, Wish, place_again, place_another, place_spare, plan_workers
from gen_dist.errors import UserError


def nodes(*cpus: int, gpus: int = 0) -> list[Node]:
    return [Node(f"id{i}", f"host{i}", f"10.0.0.{i + 1}", count, gpus, 1 << 40) for i, count in enumerate(cpus)]


def wish(wanted: int | None) -> Wish:
    return Wish() if wanted is None else Wish(1, wanted, exactly=True)


@pytest.mark.parametrize(
    ("cpus", "wanted", "microbatches", "threads", "hosts"),
    [
        ((2,), None, 4, 1, [0, 0]),
        ((8,), None, 4, 1, [0, 0, 0, 0]),
        ((8,), None, 4, 4, [0, 0]),
        ((4, 2), None, 8, 1, [0, 0, 0, 0, 1, 1]),
        ((4, 2), 3, 8, 1, [0, 0, 0]),
        ((2, 2), 2, 8, 1, [0, 1]),
        ((1,), None, 8, 2, None),
    ],
)
def test_placement(cpus, wanted, microbatches, threads, hosts):
    if hosts is None:
        with pytest.raises(UserError, match="CPUs at train.threads=2 for 0"):
            plan_workers(nodes(*cpus), wish(wanted), microbatches, threads, "cpu")
        return
    plan = plan_workers(nodes(*cpus), wish(wanted), microbatches, threads, "cpu")
    assert [node.host for node in plan.nodes] == [f"host{i}" for i in hosts]
    assert (plan.cpus_per_worker, plan.gpus_per_worker) == (threads, 0)


def test_gpus_are_used_where_every_node_has_one():
    assert plan_workers(nodes(8, 8, gpus=2), Wish(), 16, 1, "auto").workers == 4
    assert plan_workers(nodes(8, 8, gpus=2), Wish(), 16, 1, "cpu").gpus_per_worker == 0
    mixed = [*nodes(8, gpus=1), Node("idx", "hostx", "10.0.0.9", 8, 0)]
    assert plan_workers(mixed, Wish(), 16, 1, "auto").gpus_per_worker == 0


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (7, "--workers 7: the cluster has CPUs at train.threads=1 for 6; use at most 6, or auto"),
    ],
)
def test_impossible_wishes_are_refused(wanted, message):
    with pytest.raises(UserError) as caught:
        plan_workers(nodes(4, 2), wish(wanted), 8, 1, "cpu")
    assert message in str(caught.value)


@given(st.lists(st.integers(1, 64), min_size=1, max_size=6), st.integers(1, 64))
def test_no_node_is_overfilled_and_ranks_of_a_node_are_neighbours(cpus, microbatches):
    plan = plan_workers(nodes(*cpus), Wish(), microbatches, 1, "cpu")
    assert plan.workers == min(sum(cpus), microbatches)
    hosts = [node.host for node in plan.nodes]
    assert hosts == sorted(hosts, key=hosts.index)
    for node in set(plan.nodes):
        assert plan.nodes.count(node) <= node.cpus
    assert len(plan.describe()) == len(set(hosts)) + (plan.spares > 1)


def test_a_range_takes_what_there_is_and_waits_for_the_rest():
    plan = plan_workers(nodes(2), Wish(3, 8), 8, 1, "cpu")
    assert (plan.workers, plan.least, plan.most) == (2, 3, 8)
    assert place_another(nodes(2), plan.nodes, plan) is None
    [_, second] = grown = nodes(2, 1)
    assert place_another(grown, plan.nodes, plan) == second
    with pytest.raises(UserError, match="--workers 9:12: the batch has 8 microbatches"):
        plan_workers(nodes(2), Wish(9, 12), 8, 1, "cpu")


def test_a_run_without_workers_begins_where_they_were_or_anywhere():
    first, second, third = nodes(1, 1, 4)
    plan = plan_workers([first, second], Wish(2, 2), 8, 1, "cpu")
    assert place_again([second, third], [second, third], plan) == [second]
    assert place_again([third], [third], plan) == [third]
    assert place_again([third], [], plan) == place_again([], [], plan) == []


def test_what_no_microbatch_is_left_for_is_spare():
    plan = plan_workers(nodes(8), Wish(), 4, 1, "cpu")
    assert (plan.most, plan.spares) == (4, 4)
    assert plan.describe()[-1] == "the batch has 4 microbatches, so 4 more workers wait as spares"
    assert plan_workers(nodes(64), Wish(), 4, 1, "cpu").spares == 4  # no more can be lost at once
    assert plan_workers(nodes(8), Wish(2, 6), 4, 1, "cpu").spares == 2  # not above the most that were asked for
    assert plan_workers(nodes(8), Wish(1, 3), 4, 1, "cpu").spares == 1
    assert plan_workers(nodes(8), wish(2), 4, 1, "cpu").spares == 1


def test_spares_are_where_memory_and_room_are():
    driver, small, large = nodes(0, 8, 4)
    small = replace(small, memory=SPARE_BYTES - 1)
    plan = plan_workers([driver, small, large], Wish(), 8, 1, "cpu")
    assert plan.spares == 3
    assert place_spare([driver, small, large], plan.nodes, plan) == large
    assert place_spare([driver, small, large], [*plan.nodes, *[large] * 9], plan) == large
    assert place_spare([small], plan.nodes, plan) is None
    assert plan_workers([small], Wish(), 4, 1, "cpu").spares == 0


def test_a_worker_on_a_gpu_needs_its_threads_too():
    assert plan_workers(nodes(4, gpus=8), Wish(), 8, 2, "auto").workers == 2


def test_memory_limits_what_nobody_asked_for_by_number():
    small = [Node("id", "laptop", "10.0.0.1", 8, 0, 3_500_000_000)]
    plan = plan_workers(small, Wish(), 8, 1, "cpu")
    assert (plan.workers, plan.spares) == (3, 0)
    assert plan_workers(small, wish(6), 8, 1, "cpu").workers == 6
    large = [Node("id", "laptop", "10.0.0.1", 2, 0, SPARE_BYTES)]
    assert plan_workers(large, Wish(), 8, 1, "cpu").spares == 1
