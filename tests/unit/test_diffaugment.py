"""DiffAugment against its naive twin; each image's result is its own; gradients, also of gradients."""

import itertools

import numpy as np
import pytest
import torch

from gen_dist.draws import Draws
from gen_dist.objectives.diffaugment import diffaugment, integers
from tests.naive import diffaugment as naive

POLICIES = [c for n in range(4) for c in itertools.combinations(("color", "translation", "cutout"), n)]
SHAPES = [(5, 16, 16, 3), (4, 9, 20, 1), (3, 7, 5, 3), (2, 1, 3, 1), (3, 28, 28, 1)]
TWINS = {"color": naive.color, "translation": naive.translation, "cutout": naive.cutout}


def images(count, height, width, channels, dtype=torch.float32, seed=0):
    values = np.random.default_rng(seed).uniform(-1, 1, (count, height, width, channels)).astype(np.float32)
    return torch.from_numpy(values).to(dtype).permute(0, 3, 1, 2)


def draws_at(positions, seed=3):
    return Draws(seed).at(5, 1, np.asarray(positions))


def numbers(draws):
    sizes = {"color": 3, "translation": 2, "cutout": 2}
    return {name: draws.uniform(f"diffaugment/{name}", size).numpy() for name, size in sizes.items()}


def naive_batch(x, policy, draws):
    """Float64, N x H x W x C."""
    u = numbers(draws)
    batch = x.permute(0, 2, 3, 1).double().numpy().copy()
    for n, image in enumerate(batch):
        parameters = naive.parameters(image.shape, *(u[name][n] for name in TWINS))
        for name in policy:
            image = TWINS[name](image, *parameters[name])
        batch[n] = image
    return batch


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("policy", POLICIES)
def test_naive_twin(policy, shape, dtype):
    x, draws = images(*shape, dtype), draws_at(range(11, 11 + shape[0]))
    before = x.clone()
    y = diffaugment(x, policy, draws)
    assert (y.shape, y.dtype) == (x.shape, dtype)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x, before)
    got, expected = y.permute(0, 2, 3, 1).double().numpy(), naive_batch(x, policy, draws)
    if "color" in policy:
        rtol = 2**-8 if dtype is torch.bfloat16 else 2e-6
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=1e-6)
    else:
        np.testing.assert_array_equal(got, expected)


def test_each_image_has_its_own_result_whatever_the_cutting_the_memory_format_and_the_company():
    policy = POLICIES[-1]
    x = images(12, 24, 24, 3)
    whole = diffaugment(x, policy, draws_at(range(12)))
    for size in (1, 3, 5):
        parts = zip(x.split(size), np.split(np.arange(12), range(size, 12, size)), strict=True)
        assert torch.equal(torch.cat([diffaugment(part, policy, draws_at(at)) for part, at in parts]), whole)
    chosen = [7, 2, 9]
    assert torch.equal(diffaugment(x[chosen], policy, draws_at(chosen)), whole[chosen])
    assert torch.equal(diffaugment(x.contiguous(), policy, draws_at(range(12))), whole)
    assert not torch.equal(diffaugment(x, policy, draws_at(range(12), seed=4)), whole)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_order_in_which_a_policy_is_written_does_not_matter(policy):
    x, draws = images(3, 10, 12, 3), draws_at(range(3))
    expected = diffaugment(x, policy, draws)
    for written in itertools.permutations(policy):
        assert torch.equal(diffaugment(x, [*written, *written], draws), expected)
    others = [torch.equal(diffaugment(x, other, draws), expected) for other in POLICIES if other != policy]
    assert not any(others)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"^DiffAugment 'colour': unknown; use any of color, translation, cutout$"):
        diffaugment(images(1, 8, 8, 3), ["colour"], draws_at([0]))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", POLICIES[1:])
def test_gradients_and_gradients_of_gradients(policy, channels):
    x = images(2, 6, 4, channels, torch.float64).requires_grad_()

    def augment(x):
        return diffaugment(x, policy, draws_at([4, 9]))

    assert torch.autograd.gradcheck(augment, x)
    assert torch.autograd.gradgradcheck(augment, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gradient_penalty_through_it_under_autocast(dtype):
    """For the quadratic critic, whose Hessian is known: the penalty's gradient is A'A A'A x, A the augmentation."""
    x, draws = images(3, 8, 8, 3, dtype).requires_grad_(), draws_at(range(3))

    def augment(x):
        return diffaugment(x, ("translation", "cutout"), draws)

    with torch.autocast("cpu", torch.bfloat16):
        y = augment(x)
        (gradient,) = torch.autograd.grad(0.5 * y.double().square().sum(), x, create_graph=True)
        penalty = 0.5 * gradient.double().square().sum()
    penalty.backward()
    seen = augment(torch.ones_like(x)).detach()  # A'A is the pixels that are still seen, moved back
    (kept,) = torch.autograd.grad((augment(probe := torch.ones_like(x).requires_grad_()) * seen).sum(), probe)
    assert 0 < kept.double().mean() < 1
    assert torch.equal(gradient, kept * x)
    assert torch.equal(x.grad, kept * x)
    assert x.grad.dtype == dtype


def test_statistics_of_the_colours():
    draws = draws_at(range(4000))
    flat = torch.zeros(4000, 3, 2, 2)
    brightness = diffaugment(flat, ["color"], draws)[:, 0, 0, 0]
    check_uniform(brightness, -0.5, 0.5)
    # Two grey halves: their difference is scaled by contrast. Two colours in each: theirs by contrast and saturation.
    halves = flat.clone()
    halves[..., 0] = 1
    shown = diffaugment(halves, ["color"], draws)
    contrast = shown[:, 0, 0, 0] - shown[:, 0, 0, 1]
    check_uniform(contrast, 0.5, 1.5)
    coloured = flat.clone()
    coloured[:, 0] = 1
    shown = diffaugment(coloured, ["color"], draws)
    saturation = (shown[:, 0, 0, 0] - shown[:, 1, 0, 0]) / contrast
    check_uniform(saturation, 0, 2)
    together = np.corrcoef([brightness, contrast, saturation]) - np.eye(3)
    assert np.abs(together).max() < 0.05


def check_uniform(values, low, high):
    share = (values.double().sort().values - low) / (high - low)
    assert share[0] >= -1e-6
    assert share[-1] <= 1 + 1e-6
    expected = (torch.arange(len(share)) + 0.5) / len(share)
    assert (share - expected).abs().max() < 1.63 / len(share) ** 0.5  # Kolmogorov and Smirnov, 1 %; the draws are fixed


def check_even(values, expected):
    """All of `expected` come, about equally often."""
    found, counts = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(found, expected)
    assert np.abs(counts / len(values) * len(expected) - 1).max() < 0.25


def test_statistics_of_the_translation():
    marked = torch.zeros(8000, 1, 24, 16)
    marked[:, :, 12, 8] = 1
    moved = diffaugment(marked, ["translation"], draws_at(range(8000)))[:, 0]
    at = np.argwhere(moved.numpy())
    assert len(at) == 8000
    check_even(at[:, 1] - 12, range(-3, 4))
    check_even(at[:, 2] - 8, range(-2, 3))
    check_even((at[:, 1] - 12) * 10 + at[:, 2] - 8, sorted(10 * i + j for i in range(-3, 4) for j in range(-2, 3)))


@pytest.mark.parametrize(
    ("size", "spans"),
    [
        (8, [(0, 2), (0, 3), (0, 4), (1, 5), (2, 6), (3, 7), (4, 8), (5, 8), (6, 8)]),  # about corners of pixels
        (6, [(0, 2), (0, 3), (1, 4), (2, 5), (3, 6), (4, 6)]),  # about pixels
    ],
)
def test_statistics_of_the_cutout(size, spans):
    """`spans`: rows, or columns, from and to."""
    holes = diffaugment(torch.ones(9000, 1, size, size), ["cutout"], draws_at(range(9000)))[:, 0] == 0
    down, across = holes.any(2), holes.any(1)
    assert torch.equal(holes, down[:, :, None] & across[:, None, :])
    places = [10 * first + end for first, end in spans]
    for hole in (down, across):
        first = hole.int().argmax(1)
        check_even(10 * first + first + hole.sum(1), places)


def test_an_integer_is_always_below_its_count():
    """The largest uniform number times the count must not round up to the count."""
    counts = torch.arange(1, 2000)
    largest = torch.full((1,), 1 - 2**-24)
    assert all(integers(largest, int(count)).item() == count - 1 for count in counts)
