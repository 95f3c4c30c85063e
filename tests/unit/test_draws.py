"""Numbers depend on their name and owner only."""

import ast
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gen_dist
from gen_dist.draws import Draws, subkey
from tests.naive import philox as naive


def test_subkey_is_philox_of_purpose_phase_and_step():
    seed, step = 0x0123456789ABCDEF, 0xFEDCBA9876543210
    expected = naive.philox((zlib.crc32(b"latent"), 3, 0x76543210, 0xFEDCBA98), (0x89ABCDEF, 0x01234567))
    assert subkey(seed, "latent", 3, step) == tuple(expected[:2])


@pytest.mark.parametrize("numbers", [(-1, 0, 0), (2**64, 0, 0), (0, -1, 0), (0, 2**32, 0), (0, 0, -1), (0, 0, 2**64)])
def test_subkey_refuses_what_does_not_fit(numbers):
    seed, phase, step = numbers
    with pytest.raises(ValueError, match="must fit"):
        subkey(seed, "x", phase, step)


def test_samples_draw_what_the_naive_twin_draws():
    draws = Draws(5).at(7, 1, np.array([4, 2**35]))
    key = subkey(5, "x", 1, 7)
    u, z = draws.uniform("x", 3, 2), draws.normal("x", 3, 2)
    assert (u.dtype, u.shape, z.dtype, z.shape) == (torch.float32, (2, 3, 2), torch.float32, (2, 3, 2))
    np.testing.assert_array_equal(u.numpy().reshape(2, 6), naive.uniform(6, key, [4, 2**35]))
    np.testing.assert_allclose(z.numpy().reshape(2, 6), naive.normal(6, key, [4, 2**35]), rtol=2e-7)
    assert draws.normal("x").shape == (2,)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2**50), min_size=1, max_size=12, unique=True), st.data())
def test_a_samples_numbers_do_not_depend_on_the_company(positions, data):
    chosen = data.draw(st.lists(st.integers(0, len(positions) - 1), min_size=1, max_size=6))
    everyone = Draws(1).at(2, 0, np.array(positions))
    some = Draws(1).at(2, 0, np.array(positions)[chosen])
    assert torch.equal(some.normal("x", 5), everyone.normal("x", 5)[chosen])
    assert torch.equal(some.uniform("x", 5), everyone.uniform("x", 7)[chosen, :5])


def test_seed_step_phase_position_and_purpose_all_matter():
    def numbers(seed=1, step=1, phase=1, position=1, purpose="x"):
        return tuple(Draws(seed).at(step, phase, np.array([position])).normal(purpose, 4)[0].tolist())

    changed = [{"seed": 2}, {"seed": 2**33}, {"step": 2}, {"step": 2**33}, {"phase": 2}, {"purpose": "y"}]
    changed += [{"position": 2}, {"position": 1 + 2**32}]
    assert len({numbers(), *(numbers(**change) for change in changed)}) == 1 + len(changed)
    assert numbers() == numbers()


def test_within_prefixes_purposes():
    draws = Draws(1).at(0, 0, np.arange(3))
    assert torch.equal(draws.within("a").within("b").normal("x", 2), draws.normal("a/b/x", 2))
    assert not torch.equal(draws.within("a").normal("x", 2), draws.normal("x", 2))


def test_uniform_range():
    draws = Draws(1).at(0, 0, np.arange(100))
    u = draws.uniform("x", 100, low=-2.0, high=3.0)
    assert -2 <= u.min() < -1.99
    assert 2.99 < u.max() <= 3
    np.testing.assert_array_equal(u, draws.uniform("x", 100).numpy() * np.float32(5) + np.float32(-2))


def test_arrays_are_keyed_by_purpose_only_and_apart_from_samples():
    draws = Draws(1)
    weights = draws.array("w", (3, 5))
    assert (weights.dtype, weights.shape) == (np.float32, (3, 5))
    np.testing.assert_array_equal(weights.ravel()[:7], draws.array("w", (7,)))
    assert not np.array_equal(weights, draws.array("v", (3, 5)))
    assert not np.array_equal(weights.ravel(), draws.at(0, 0, np.array([0])).normal("w", 15).numpy().ravel())
    uniform = draws.uniform_array("w", (1000,), low=-1.0, high=1.0)
    assert uniform.dtype == np.float32
    assert -1 <= uniform.min() < -0.98
    assert 0.98 < uniform.max() <= 1


def test_the_callers_positions_are_copied():
    positions = np.arange(3)
    draws = Draws(1).at(0, 0, positions)
    before = draws.normal("x", 2)
    positions += 1
    assert torch.equal(draws.normal("x", 2), before)


def test_purposes_written_in_the_sources_have_different_checksums():
    """Purposes enter keys by their CRC-32; two with the same would share their numbers."""
    root = Path(gen_dist.__file__).parent
    calls = (node for file in root.rglob("*.py") for node in ast.walk(ast.parse(file.read_text())))
    purposes = {
        argument.value
        for call in calls
        if isinstance(call, ast.Call)
        for argument in call.args[:2]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    assert {"augment", "permutation"} <= purposes
    assert len({zlib.crc32(purpose.encode()) for purpose in purposes}) == len(purposes)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_does_not_change_the_numbers():
    for draw in ("normal", "uniform"):
        on_cpu, on_gpu = (
            [getattr(Draws(1).at(0, 0, np.arange(64), device), draw)(str(i), 999) for i in range(20)]
            for device in ("cpu", "cuda")
        )
        assert all(torch.equal(a, b.cpu()) for a, b in zip(on_cpu, on_gpu, strict=True))
