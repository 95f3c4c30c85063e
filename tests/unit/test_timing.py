"""What a step costs, as the engine itself shows."""

import pytest

from gen_dist.engine.costs import Sent
from gen_dist.engine.timing import PhaseTimes, Timing, mean_costs
from gen_dist.models.build import count_parameters
from gen_dist.presets import load_config

TINY = ["data.size=16", "train.batch_size=16", "train.microbatch_size=4", "train.device=cpu", "train.precision=fp32"]
SMALL_GAN = ["model.generator_width=4", "model.discriminator_width=4", *TINY]

pytestmark = pytest.mark.usefixtures("one_thread")


def measured(preset, *overrides):
    config = load_config(preset, list(overrides))
    timing = Timing(config, 3)
    try:
        return config, timing.measure(0.01)
    finally:
        timing.close()


def test_means_worked_by_hand():
    times = [
        PhaseTimes("d", began=0.0, asked=1.0, computed=5.0, ended=8.0, owned=2, complete=[(64, 4.5), (8, 5.0)]),
        PhaseTimes("d", began=8.0, asked=8.0, computed=14.0, ended=15.0, owned=2, complete=[(64, 12.5), (8, 14.0)]),
    ]
    found = mean_costs(times, 0.5)
    assert (found.name, found.count, found.microbatch, found.fixed) == ("d", 0.5, 2.5, 2.5)
    assert found.sent == (Sent(64, 1.0), Sent(8, 0.0))


def test_a_gan_has_its_two_phases_and_sends_its_gradients():
    config, found = measured("smoke", *SMALL_GAN)
    assert [(phase.name, phase.count) for phase in found.phases] == [("discriminator", 1.0), ("generator", 1.0)]
    for phase in found.phases:
        gradients = sum(vector.bytes for vector in phase.sent[:-1])
        assert 0 <= gradients / 4 - count_parameters(config, 3)[phase.name] < 16 * 50  # padding of every tensor
        assert phase.microbatch > max(vector.early for vector in phase.sent) > 0
        assert phase.sent[-1].early == 0
        assert phase.fixed > 0


def test_a_phase_that_comes_every_fourth_step_counts_a_quarter():
    _, found = measured(
        "smoke", *SMALL_GAN, "model.discriminator_norm=none", "objective.r1=1.0", "objective.r1_every=4"
    )
    counts = {phase.name: phase.count for phase in found.phases}
    assert counts == {"discriminator": 0.75, "discriminator_r1": 0.25, "generator": 1.0}


def test_a_network_that_grows_is_measured_at_its_last_size():
    config, found = measured("dcgan-grow-64", "data.size=16", *SMALL_GAN)
    generator = next(phase for phase in found.phases if phase.name == "generator")
    assert sum(vector.bytes for vector in generator.sent) / 4 > 0.9 * count_parameters(config, 3)["generator"]


def test_a_batch_of_one_microbatch():
    _, found = measured("vae-64", "model.width=4", *TINY, "train.batch_size=4")
    assert len(found.phases) == 1
    assert found.microbatch > 0
