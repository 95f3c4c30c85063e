"""The engine in one process: what a step does to the state, and what it does when numbers go wrong."""

import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from gen_dist.checkpointing import checkpoint_facts
from gen_dist.data.pack import Pack
from gen_dist.engine.diagnosis import raise_if_reproduced
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.tally import Asked
from gen_dist.errors import RunError
from gen_dist.objectives.base import Phase
from tests.training_cases import CASES, case, engine_of, pack_of, run_steps


@pytest.mark.parametrize("name", CASES)
def test_the_same_configuration_gives_the_same_bits(name, packs):
    pack = pack_of(name, packs)
    first, second = engine_of(case(name), pack), engine_of(case(name), pack)
    assert run_steps(first, 3) == run_steps(second, 3)
    assert first.state.hash() == second.state.hash()
    other = engine_of(case(name, ["seed=1"]), pack)
    run_steps(other, 3)
    assert other.state.hash() != first.state.hash()


@pytest.mark.parametrize("name", CASES)
def test_resumed_in_the_middle_of_a_pass_it_goes_on_bit_for_bit(name, packs):
    pack = pack_of(name, packs)
    alone = engine_of(case(name), pack)
    expected = run_steps(alone, 5)  # 80 or 160 images: over two passes of 37
    before = engine_of(case(name), pack)
    losses = run_steps(before, 2)
    after = engine_of(case(name), pack, before.state.to_files(checkpoint_facts(case(name), Pack.open(pack))))
    losses += run_steps(after, 3)
    assert losses == expected
    assert after.state.hash() == alone.state.hash()


def test_the_microbatch_is_the_unit_its_size_changes_the_result_and_threads_of_the_loader_do_not(tiny_pack):
    base = run_steps(engine_of(case("dcgan"), tiny_pack), 2)
    assert run_steps(engine_of(case("dcgan", ["data.loader_threads=3", "data.prefetch=5"]), tiny_pack), 2) == base
    assert run_steps(engine_of(case("dcgan", ["train.microbatch_size=8"]), tiny_pack), 2) != base


def test_a_phase_trains_its_own_modules_only(tiny_pack):
    engine = engine_of(case("dcgan"), tiny_pack)

    def snapshot():
        return {n: copy.deepcopy(m.state_dict()) for n, m in engine.state.modules.items()}

    before = snapshot()
    for number, trained in enumerate(("discriminator", "generator")):
        phase = engine.objective.next_phase(0, engine.committed)
        engine.run_phase(number, phase, Asked())
        after = snapshot()
        for name in before:
            same = all(torch.equal(before[name][k], after[name][k]) for k in before[name])
            assert same == (name != trained), f"{name} in the {trained} phase"
        frozen = "generator" if trained == "discriminator" else "discriminator"
        assert all(not p.requires_grad for p in engine.state.modules[frozen].parameters())
        before = after


def test_the_discriminator_reads_another_real_batch_in_each_of_its_phases(tiny_pack):
    engine = engine_of(case("dcgan-k2"), tiny_pack)
    phases = [engine.objective.next_phase(0, [None] * done) for done in range(4)]
    assert [p and (p.name, p.read) for p in phases] == [
        ("discriminator", 0), ("discriminator", 1), ("generator", None), None,
    ]  # fmt: skip
    reads = [engine.load(number, phase, range(4)) for number, phase in enumerate(phases[:2])]
    positions = [np.concatenate([m.positions for m, _ in work]) for work in reads]
    assert not set(positions[0]) & set(positions[1])


def test_the_gradient_is_that_of_the_mean_loss_of_the_whole_batch(tiny_pack):
    """With one microbatch the engine's gradient is what autograd gives for the mean; with more, their average."""
    engine = engine_of(case("vae", ["model.dropout=0"]), tiny_pack)
    phase = engine.objective.next_phase(0, [])
    program = engine.program(phase)
    engine.compute(0, program, Asked())
    gradients = [p.grad.clone() for p in program.parameters()]
    totals = [torch.zeros_like(g) for g in gradients]
    for microbatch, draws in engine.load(0, phase, range(4)):
        loss = phase.loss(engine.state.modules, microbatch, draws)["loss"]
        for total, gradient in zip(totals, torch.autograd.grad(loss, list(program.parameters())), strict=True):
            total += gradient / engine.loader.batching.batch_size
    for gradient, total in zip(gradients, totals, strict=True):
        torch.testing.assert_close(gradient, total, rtol=1e-4, atol=1e-5)


def poisoned(engine, times):
    """Make the loss of the microbatch that holds sample 5 non-finite, the first `times` times that it is computed."""
    fired = []
    original = engine.objective.next_phase

    def next_phase(step, committed):
        phase = original(step, committed)

        def loss(modules, microbatch, draws):
            losses = phase.loss(modules, microbatch, draws)
            if 5 in microbatch.samples and len(fired) < times:
                fired.append(microbatch.index)
                losses[phase.minimises] = losses[phase.minimises] * float("nan")
            return losses

        return phase and replace(phase, loss=loss)

    engine.objective.next_phase = next_phase
    return fired


def repeat(action, times):
    for _ in range(times):
        action()


def test_a_reproduced_nan_stops_before_anything_is_committed_and_names_its_samples(tiny_pack):
    engine = engine_of(case("vae"), tiny_pack)
    fired = poisoned(engine, times=10**9)
    hashes = []

    def remember_and_step():
        hashes.append(engine.state.hash())
        engine.step()

    with pytest.raises(RunError) as caught:
        repeat(remember_and_step, 5)
    step = engine.state.step
    assert fired, "the fault never fired"
    assert engine.state.hash() == hashes[step]
    message = str(caught.value)
    assert f"step {step + 1}, vae phase: microbatch {fired[0]} has a non-finite loss or gradient" in message
    named = [int(n) for n in message.partition("its samples: ")[2].split(", ")]
    assert 5 in named
    assert len(named) == 4


@pytest.mark.parametrize("name", ["vae", "dcgan-hinge", "sngan-one-stage", "growing"])
def test_a_nan_that_does_not_come_again_costs_nothing(name, tiny_pack):
    """Nor is anything done twice, such as the power iteration of spectral norms, because the phase is redone."""
    expected = engine_of(case(name), tiny_pack)
    losses = run_steps(expected, 4)
    engine = engine_of(case(name), tiny_pack)
    fired = poisoned(engine, times=1)
    assert run_steps(engine, 4) == losses
    assert len(fired) == 1
    assert engine.state.hash() == expected.state.hash()


class OtherRank:
    """A reducer whose sum adds what another rank found: 1 at (attempt, microbatch)."""

    def __init__(self, *found):
        self.found = found

    def sum(self, verdicts, check):
        verdicts = verdicts.clone()
        for attempt, index in self.found:
            verdicts[attempt, index] += 1
        return verdicts


@pytest.mark.parametrize(
    ("workers", "found", "message"),
    [
        (2, [(0, 2)], "microbatch 2 is non-finite on rank 1 only: that rank is faulty"),
        (2, [(1, 0)], "microbatch 0 is non-finite on rank 1 only: that rank is faulty"),
        (2, [(1, 3)], "microbatch 3 is non-finite on rank 0 only: that rank is faulty"),
        (4, [(1, 1)], "microbatch 1 is non-finite on rank 0 only: that rank is faulty"),
        (4, [(0, 1), (1, 1)], "microbatch 1 has a non-finite loss or gradient, on rank 1 and again on rank 0; its"),
        (1, [(1, 3)], "microbatch 3 is non-finite on rank 0 in one of two computations: that rank is faulty"),
        (1, [(0, 3)], "microbatch 3 is non-finite on rank 0 in one of two computations: that rank is faulty"),
    ],
)
def test_a_rank_that_alone_gets_a_nan_is_named(workers, found, message, tiny_pack):
    engine = engine_of(case("vae"), tiny_pack)
    engine.ownership, engine.reducer = Ownership.equal(4, workers), OtherRank(*found)
    with pytest.raises(RunError, match=f"^step 1, vae phase: {message}"):
        raise_if_reproduced(engine, 0, engine.program(engine.objective.next_phase(0, [])))


def test_spectral_vectors_move_in_phases_that_train_their_module_only(tiny_pack):
    engine = engine_of(case("dcgan-hinge"), tiny_pack)
    discriminator, seen = engine.state.modules["discriminator"], []

    def remember(where):
        if where.stage == "commit":
            seen.append((where.phase, discriminator.state_dict()["layers.0.u"].clone()))

    before = discriminator.state_dict()["layers.0.u"].clone()
    engine.watch = remember
    run_steps(engine, 1)
    [(first, after_first), (second, after_second)] = seen
    assert (first, second) == ("discriminator_r1", "generator")
    assert not torch.equal(after_first, before)
    assert torch.equal(after_second, after_first)


def test_a_growing_network_trains_what_its_stage_uses_and_programs_are_built_anew_at_its_borders(tiny_pack):
    engine = engine_of(case("growing"), tiny_pack)
    generator = engine.state.modules["generator"]
    stages, programs = [], []
    for _ in range(6):
        stage, before = generator.stage, {key: value.clone() for key, value in generator.named_parameters()}
        in_use = set(map(id, generator.in_use()))
        run_steps(engine, 1)
        stages.append(stage)
        programs.append(engine.programs["generator"])
        changed = {key for key, value in generator.named_parameters() if not torch.equal(value, before[key])}
        assert changed == {key for key, value in generator.named_parameters() if id(value) in in_use}
    assert len(set(stages)) > 2, "it has not grown"
    for (a, b), (first, second) in zip(pairwise(stages), pairwise(programs), strict=True):
        assert (a == b) == (first is second)


def test_what_a_phase_records_says_at_which_rate_it_learnt(tiny_pack):
    engine = engine_of(case("dcgan-k2", ["optimizer.warmup_steps=4"]), tiny_pack)
    rates = [losses["learning_rate_discriminator"] for losses in run_steps(engine, 3)]
    assert rates == pytest.approx([1e-4, 2e-4, 3e-4])


def test_noise_is_fresh_in_every_phase_and_step(tiny_pack):
    engine = engine_of(case("dcgan"), tiny_pack)
    phase = Phase("generator", ("generator",), None, "generator_loss", lambda *a: {})
    latents = []
    for step, number in ((0, 0), (0, 1), (1, 0)):
        engine.state.step = step
        latents += [draws.normal("latent", 4) for _, draws in engine.load(number, phase, range(4))]
    flat = torch.cat(latents)
    assert len(torch.unique(flat, dim=0)) == len(flat)


def test_stop_is_reported_by_every_phase_once_asked(tiny_pack):
    engine = engine_of(case("dcgan"), tiny_pack)
    assert not engine.step().stop
    assert engine.step(Asked(stop=True)).stop
    assert engine.state.step == 2
