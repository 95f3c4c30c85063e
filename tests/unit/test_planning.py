"""`gen-dist plan`: what it accepts, and how it shows what was found."""

import json

import pytest

from gen_dist.cluster.link_ends import Link
from gen_dist.cluster.step_time import Batch, Cluster, Machine, predict
from gen_dist.engine.costs import Costs, PhaseCosts, Sent
from gen_dist.errors import UserError
from gen_dist.launch.plan import numbers_up_to, parse_numbers
from gen_dist.launch.planning import describe, predict_all, table
from gen_dist.presets import load_config


@pytest.mark.parametrize(("text", "numbers"), [("auto", None), ("3", [3]), ("4,1, 2,4", [1, 2, 4])])
def test_numbers_of_workers(text, numbers):
    assert parse_numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "0", "1,", "-1", "1:3", "two", "1,0", "1.5"])
def test_what_is_no_number_of_workers(text):
    with pytest.raises(UserError, match=f"--workers {text}: must be whole numbers of at least 1 with commas between"):
        parse_numbers(text)


@pytest.mark.parametrize(
    ("most", "numbers"),
    [(1, [1]), (5, [1, 2, 3, 4, 5]), (8, [*range(1, 9)]), (16, [1, 2, 4, 8, 16]), (20, [1, 2, 4, 8, 16, 20])],
)
def test_numbers_that_auto_predicts(most, numbers):
    assert numbers_up_to(most) == numbers


@pytest.mark.parametrize(
    ("overrides", "wanted", "address", "message"),
    [
        ([], [1, 5], None, "5 workers: more than the batch has microbatches (4)"),
        (["cluster.shares=[3,1]"], [3], None, "cluster.shares [3, 1]: 2 shares for 3 workers"),
        ([], None, "ray://head:10001", "Ray Client addresses are not supported"),
        ([], None, "127.0.0.1", "must be HOST:PORT"),
    ],
)
def test_what_a_run_would_refuse_is_refused_before_anything_starts(overrides, wanted, address, message):
    with pytest.raises(UserError) as caught:
        predict_all(load_config("smoke", overrides), wanted, address, 1.0, pytest.fail)
    assert message in str(caught.value)


def test_the_table():
    def costs(microbatch):
        return Costs((PhaseCosts("d", 1.0, microbatch, 0.0625, (Sent(1_000_000, 0.0),)),))

    machines = [Machine("fast", {1: costs(0.5), 2: costs(1.0)}), Machine("slow", {1: costs(1.0)})]
    links = {pair: Link(1.25e8, 0.0005) for pair in ((0, 1), (1, 0), (0, 0))}
    places = {1: [0], 3: [0, 0, 1]}
    waiting = "rank 0 on fast: others wait while it computes its 2 microbatches of 4"
    cluster, batch = Cluster(machines, links), Batch(4, 32, True)
    found = describe(load_config("smoke"), cluster, places, {n: predict(cluster, p, batch) for n, p in places.items()})
    assert json.loads(json.dumps(found))["predictions"][0]["parts"]["compute"] == 2.0
    assert table(found) == [
        "smoke: 32 images a step = 4 microbatches",
        "fast: a worker computes 16.0 images/s alone, 8.0 images/s each when 2 compute",
        "slow: a worker computes 8.0 images/s alone",
        "fast: 1,000 Mbit/s, 0.50 ms, within it",
        "fast to slow: 1,000 Mbit/s, 0.50 ms",
        "slow to fast: 1,000 Mbit/s, 0.50 ms",
        "",
        "workers     step  images/s  efficiency  shares  bottleneck",
        "      1  2.062 s      15.5        100%  4       compute",
        f"      3  2.078 s      15.4         40%  2,1,1   {waiting}",
    ]
