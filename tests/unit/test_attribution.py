"""Where the real engine says its time went: all of it is somewhere, under the right name, also what is planted."""

import time

import numpy as np
import pytest
import torch.distributed as dist

from gen_dist.cluster.faults import Injector
from gen_dist.engine.ddp import DDPReducer
from gen_dist.engine.stopwatch import HostClock, Stopwatch
from gen_dist.step_times import MEASURED, PARTS, StepTimes
from tests.training_cases import case, engine_of, pack_of

STEPS = 6


def measured(engine, steps=STEPS):
    """The times of so many steps after the first few, and the seconds that passed meanwhile."""
    for _ in range(3):
        engine.step()
    started, times = time.perf_counter(), StepTimes()
    for _ in range(steps):
        report = engine.step()
        times.steps += 1
        for phase, tally in report.tallies:
            assert tally.knows
            times.add(phase, tally.measured, tally.counted)
    return times, time.perf_counter() - started


@pytest.mark.parametrize("name", ["vae", "dcgan", "dcgan-k2", "sngan", "vaegan", "dcgan-balance", "growing"])
def test_all_time_is_in_some_part_of_the_phase_it_was_spent_in(name, packs):
    engine = engine_of(case(name), pack_of(name, packs))
    times, passed = measured(engine, 4 * STEPS)
    engine.loader.close()
    assert times.by_rank().sum() * times.steps == pytest.approx(passed, rel=0.4)  # shifted by a phase
    assert times.share(["other"]) < 0.25
    assert times.share(["forward", "backward"]) > 0.2
    assert all(table[0].min() > 0 for table in times.counted.values())  # microbatches


def test_a_rare_phase_has_its_own_times_and_those_of_this_time(packs):
    engine = engine_of(case("sngan", ["objective.r1=1", "objective.r1_every=4"]), pack_of("sngan", packs))
    names = []
    for _ in range(9):
        names.append([phase for phase, _ in engine.step().tallies])
    engine.loader.close()
    rare = [step for step, found in enumerate(names) if any("r1" in name for name in found)]
    assert rare == [0, 4, 8]
    assert names[0][0] == ""  # before the first phase there is none
    assert names[1][0] == "generator"


@pytest.mark.parametrize(("stage", "part"), [("compute", "forward"), ("optimise", "optimise"), ("data", "data_wait")])
def test_what_is_planted_stands_in_its_part(stage, part, packs, tmp_path, monkeypatch):
    config = case("vae", ["data.prefetch=1"])
    proof, seconds = tmp_path / "fired", 0.05
    monkeypatch.setenv("GEN_DIST_FAULT", f"slow worker=0 stage={stage} seconds={seconds} proof={proof}")
    engine = engine_of(config, pack_of("vae", packs))
    Injector(0).slow_down(engine)
    times, _ = measured(engine)
    engine.loader.close()
    assert proof.exists()
    seconds_of = times.by_rank()[:, 0] * times.steps
    assert seconds_of.argmax() == PARTS.index(part)
    often = {"compute": config.train.microbatches, "optimise": 2, "data": 0}[stage]  # a step; of data some is hidden
    assert seconds_of[PARTS.index(part)] >= 0.9 * STEPS * often * seconds
    assert seconds_of[PARTS.index("exchange")] < seconds  # and nowhere else


@pytest.fixture
def alone(tmp_path):
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield dist.group.WORLD
    dist.destroy_process_group()


def test_under_ddp_backward_ends_where_the_exchange_begins(packs, alone):
    engine = engine_of(case("dcgan"), pack_of("dcgan", packs))
    engine.join(DDPReducer(alone), engine.ownership, 0)
    seen = Stopwatch(HostClock())
    engine.stopwatch = seen
    engine.programs.clear()
    engine.step()
    seen.settle()
    seen.kept = []
    engine.step()
    seen.settle()
    engine.reducer.reset()
    engine.loader.close()
    parts = [span.part for span in seen.kept if span.phase == "discriminator"]
    last = len(parts) - 1 - parts[::-1].index("backward")
    assert parts[last + 1] == "reduce"
    assert parts.count("forward") >= engine.ownership.microbatches
    assert parts.count("backward") == engine.ownership.microbatches


def test_a_tally_adds_no_vector_of_its_own(packs):
    """What ranks tell each other of times travels with the losses: as many collectives as without."""
    engine = engine_of(case("vae"), pack_of("vae", packs))
    sums = []
    plain = engine.reducer.sum
    engine.reducer.sum = lambda numbers, check: sums.append(numbers.numel()) or plain(numbers, check)
    engine.step()
    engine.loader.close()
    assert sums == [1]  # whether all is finite


def test_marks_do_not_pile_up(packs):
    engine = engine_of(case("dcgan"), pack_of("dcgan", packs))
    for _ in range(5):
        engine.step()
    engine.loader.close()
    assert len(engine.stopwatch.marks) < 200
    assert set(engine.stopwatch.totals) <= {"discriminator", "generator", "between phases"}
    assert np.isfinite([total for part in engine.stopwatch.totals.values() for total in part.values()]).all()
    assert set(MEASURED) >= {part for parts in engine.stopwatch.totals.values() for part in parts}
