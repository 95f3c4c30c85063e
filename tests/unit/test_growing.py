"""Networks that grow: the schedule, which parts are in use, and that nothing jumps at the stages' borders."""

import copy
from typing import Any

import pytest
import torch

from gen_dist.models.growing import GrowingSettings, growth_at
from gen_dist.models.growth import as_generated, parameters_in_use, set_step, stage_of
from gen_dist.models.layers import norm_layers
from gen_dist.models.resampling import average, enlarge
from gen_dist.models.spectral import iterate_spectral_norm
from tests.small_models import built, draws_of, normal, same_state, state_of

STAGE, FADE = 5, 3  # steps

# (size, start_size, the stages' sides)
SIZES = [
    (8, 4, [4, 8]),
    (16, 8, [8, 16]),
    (23, 4, [6, 12, 23]),
    (28, 8, [14, 28]),
    (33, 6, [9, 17, 33]),
    (64, 8, [8, 16, 32, 64]),
    (92, 12, [12, 23, 46, 92]),
    (100, 40, [50, 100]),
]

pytestmark = pytest.mark.usefixtures("one_thread")


def settings(**changed: Any) -> GrowingSettings:
    small = {"latent": 6, "generator_width": 2, "discriminator_width": 2, "stage_steps": STAGE, "fade_steps": FADE}
    return GrowingSettings(family="growing", **{**small, **changed})


@pytest.mark.parametrize(
    ("step", "stage", "alpha"),
    [
        (0, 0, 1), (4, 0, 1),
        (5, 1, 0.25), (6, 1, 0.5), (7, 1, 0.75), (8, 1, 1), (12, 1, 1),
        (13, 2, 0.25), (15, 2, 0.75), (16, 2, 1), (20, 2, 1), (21, 2, 1), (10**9, 2, 1),
    ],
)  # fmt: skip
def test_three_stages(step, stage, alpha):
    assert growth_at(step, 3, STAGE, FADE) == (stage, alpha)


@pytest.mark.parametrize(("step", "stage"), [(4, 0), (5, 1), (9, 1), (10, 2), (14, 2), (15, 2)])
def test_without_fading_a_stage_is_there_at_once(step, stage):
    assert growth_at(step, 3, STAGE, 0) == (stage, 1)


@pytest.mark.parametrize(("size", "start_size", "sides"), SIZES)
def test_sides_of_stages_and_when_the_last_begins(size, start_size, sides):
    model = settings(start_size=start_size)
    model.check(size)
    assert model.stage_sides(size) == sides
    last = model.last_stage_step(size)
    stages = [growth_at(step, len(sides), STAGE, FADE)[0] for step in range(last + 1)]
    assert stages[-2:] == [len(sides) - 2, len(sides) - 1]


@pytest.mark.parametrize(
    ("size", "start_size", "message"),
    [
        (64, 33, "model.start_size 33: .*; use model.start_size=32 or less"),
        (23, 23, "model.start_size 23: .*; use model.start_size=12 or less"),
        (8, 8, "model.start_size 8: .*; use model.start_size=4 or less"),
    ],
)
def test_a_first_stage_that_leaves_no_room_to_grow_is_refused(size, start_size, message):
    with pytest.raises(ValueError, match=message) as error:
        settings(start_size=start_size).check(size)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("norm", ["none", "spectral"])
@pytest.mark.parametrize(("size", "start_size", "sides"), SIZES)
def test_at_every_step_what_is_in_use_has_gradients_and_nothing_else(size, start_size, sides, norm):
    channels = 1 + 2 * (size % 2)
    model = settings(start_size=start_size, discriminator_norm=norm, dropout=0.1)
    modules = built(model, size, channels)
    last, stages = model.last_stage_step(size), []
    for step in (0, STAGE, STAGE + FADE, last, last + FADE):
        set_step(modules, step)
        index, alpha = growth_at(step, len(sides), STAGE, FADE)
        stages.append((index, alpha < 1))
        fake = modules["generator"](normal(2, 6))
        assert fake.shape == (2, channels, sides[index], sides[index])
        assert fake.dtype == torch.float32
        logits = modules["discriminator"](fake, draws_of(2))
        assert logits.shape == (2,)
        assert logits.dtype == torch.float32
        for module in modules.values():
            module.zero_grad(set_to_none=True)
        logits.sum().backward()
        for module in modules.values():
            used = set(map(id, parameters_in_use(module)))
            assert used == {id(p) for p in module.parameters() if p.grad is not None}
    assert stages[-1] == (len(sides) - 1, False)
    assert len(set(stages)) > 2


def grown(size: int = 23, **changed: Any) -> dict[str, torch.nn.Module]:
    """Three stages: 6, 12 and 23 pixels."""
    return built(settings(start_size=4, **changed), size, 3)


def test_the_stage_changes_exactly_where_other_parameters_come_into_use():
    modules = grown()
    former, changes = None, []
    for step in range(settings(start_size=4).last_stage_step(23) + FADE + 3):
        set_step(modules, step)
        used = [id(p) for module in modules.values() for p in parameters_in_use(module)]
        assert len(used) == len(set(used))
        now = stage_of(modules), used
        if former is not None:
            assert (now[0] == former[0]) == (now[1] == former[1])
            changes += [step] if now[0] != former[0] else []
        former = now
    assert changes == [5, 8, 13, 16]
    assert len(former[1]) < sum(len(list(module.parameters())) for module in modules.values())


@pytest.mark.parametrize("border", [STAGE, STAGE + FADE + STAGE])
def test_a_stage_that_has_not_begun_to_fade_in_is_the_one_before_enlarged(border):
    modules = grown(discriminator_norm="spectral")
    generator, discriminator = modules.values()
    z, draws = normal(3, 6), draws_of(3)
    set_step(modules, border - 1)
    small = generator(z)
    logits = discriminator(small, draws)
    set_step(modules, border)
    side = generator.sides[generator.index]
    for module in modules.values():
        module.alpha = 0.0
    large = generator(z)
    assert torch.equal(large, enlarge(small, side))
    torch.testing.assert_close(discriminator(large, draws), logits)
    x = normal(3, 3, 23, 23)
    blurred = generator.shrink(x)
    set_step(modules, border - 1)
    assert torch.equal(blurred, enlarge(generator.shrink(x), side))


def test_while_a_stage_fades_in_both_are_blended():
    modules = grown()
    generator, discriminator = modules.values()
    z, x, draws, seen = normal(3, 6), normal(3, 3, 23, 23), draws_of(3), []
    set_step(modules, STAGE + 1)
    assert generator.alpha == discriminator.alpha == 0.5
    for alpha in (0.0, 0.5, 1 - 1e-7):
        generator.alpha = alpha
        seen.append((generator(z), generator.shrink(x)))
    for blended in range(2):
        torch.testing.assert_close(seen[1][blended], (seen[0][blended] + seen[2][blended]) / 2)
    set_step(modules, STAGE + FADE)
    assert torch.equal(generator.shrink(x), average(x))
    torch.testing.assert_close(generator(z), seen[2][0])
    faded = discriminator(seen[1][0], draws)
    set_step(modules, STAGE + 1)
    assert not torch.equal(discriminator(seen[1][0], draws), faded)


@pytest.mark.parametrize(("size", "start_size", "sides"), SIZES)
def test_in_eval_mode_images_have_the_full_size_and_shrink_to_what_they_were(size, start_size, sides):
    generator = built(settings(start_size=start_size), size, 1)["generator"]
    for step in (0, STAGE + FADE):
        set_step({"generator": generator}, step)
        generator.eval()
        full = generator(normal(2, 6))
        assert full.shape == (2, 1, size, size)
        x = as_generated(generator, full)
        assert x.shape[2] == sides[step > 0]
        for larger in sides[1 + (step > 0) :]:
            x = enlarge(x, larger)
        torch.testing.assert_close(x, full)


def test_shrinking_averages_squares():
    generator = grown(size=64)["generator"]
    x = normal(2, 3, 64, 64)
    set_step({"generator": generator}, 0)
    small = generator.shrink(x)
    assert small.shape == (2, 3, 4, 4)
    torch.testing.assert_close(small, x.reshape(2, 3, 4, 16, 4, 16).mean((3, 5)))


def test_a_copy_for_the_average_grows_by_itself():
    modules = grown()
    average_of = {"generator": copy.deepcopy(modules["generator"]).eval()}
    set_step(average_of, 10**6)
    assert stage_of(average_of) == ((2, False),)
    assert stage_of(modules) == ((0, False), (0, False))
    assert average_of["generator"](normal(2, 6)).shape == (2, 3, 23, 23)
    assert modules["generator"](normal(2, 6)).shape == (2, 3, 6, 6)


def test_forward_changes_no_state_and_norms_that_are_not_in_use_emit_nothing():
    modules = grown(discriminator_norm="spectral")
    set_step(modules, STAGE)
    iterate_spectral_norm(modules["discriminator"])
    generator, discriminator = modules.values()
    before = [state_of(module) for module in modules.values()]
    outputs = [discriminator(generator(normal(2, 6)), draws_of(2)) for _ in range(2)]
    assert torch.equal(*outputs)
    assert all(same_state(old, state_of(module)) for old, module in zip(before, modules.values(), strict=True))
    assert [len(layer.emitted) for layer in norm_layers(generator)] == [2, 2, 0]


def test_a_run_that_is_too_short_to_grow_is_told_so_and_trains():
    model = settings(start_size=4)
    last = model.last_stage_step(23)
    assert model.notice(23, last + 1) is None
    notice = model.notice(23, last)
    assert notice is not None
    assert f"train.steps {last}: the model begins to make images of data.size 23 after {last} steps" in notice
    assert "\n" not in notice
