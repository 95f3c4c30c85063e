"""Spectral normalisation against numpy's SVD and torch's own; forward changes no state."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn.utils import parametrizations

from gen_dist.draws import Draws
from gen_dist.models.initialise import initialise
from gen_dist.models.layers import Reshape
from gen_dist.models.spectral import (
    SpectralConv2d,
    SpectralLayer,
    SpectralLinear,
    as_matrix,
    commit_spectral_norm,
    initialise_spectral,
    iterate_spectral_norm,
    spectral_layers,
)

LAYERS = {
    "convolution": lambda: SpectralConv2d(3, 8, 4, stride=2, padding=1, bias=False),
    "convolution of one channel": lambda: SpectralConv2d(1, 5, 3),
    "convolution to a logit": lambda: SpectralConv2d(6, 1, 4),
    "linear": lambda: SpectralLinear(12, 7),
}
INPUTS = {"linear": (4, 12), "convolution of one channel": (4, 1, 8, 8), "convolution to a logit": (4, 6, 8, 8)}


def built(make, seed=1, weights="uniform", memory_format=torch.channels_last) -> nn.Module:
    """As gen_dist.models.build does it."""
    with torch.device("meta"):
        module = make()
    module.to_empty(device="cpu")
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data.fill_(torch.nan)  # what is not initialised shows
    initialise("module", module, Draws(seed), weights)
    return module.to(memory_format=memory_format)


def critic() -> nn.Sequential:
    return nn.Sequential(
        SpectralConv2d(3, 8, 4, 2, 1),
        nn.LeakyReLU(0.2),
        SpectralConv2d(8, 8, 3, 1, 1),
        Reshape(128),
        SpectralLinear(128, 2),
    )


def values(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def inputs(kind):
    x = values(*INPUTS.get(kind, (4, 3, 8, 8)))
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def vectors(module):
    """The committed ones, copied."""
    return {key: value.clone() for key, value in module.state_dict().items() if key.split(".")[-1] in ("u", "v")}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def advance(module, times):
    for _ in range(times):
        iterate_spectral_norm(module)
        commit_spectral_norm(module)


def largest(weight):
    return np.linalg.svd(weight.detach().flatten(1).double().numpy(), compute_uv=False)[0]


@pytest.mark.parametrize("weights", ["normal", "uniform", "glorot"])
@pytest.mark.parametrize("kind", LAYERS)
def test_sigma_is_the_largest_singular_value(kind, weights):
    layer = built(LAYERS[kind], weights=weights)
    # Sigma is weight / normalised weight; from below, as u and v have length 1, and not far after 15 iterations.
    sigma = (layer.weight / layer.normalised_weight()).mean().item()
    assert 0.8 * largest(layer.weight) < sigma <= largest(layer.weight) * (1 + 1e-6)
    advance(layer, 300)
    assert largest(layer.normalised_weight()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", LAYERS)
def test_output_and_gradients_are_those_of_torchs_parametrisation(kind):
    layer = built(LAYERS[kind])
    twin = nn.Linear(12, 7) if kind == "linear" else nn.Conv2d(*plain(layer))
    twin.load_state_dict({key: value for key, value in layer.state_dict().items() if key in ("weight", "bias")})
    twin = parametrizations.spectral_norm(twin).eval()  # in eval mode it does not iterate
    own = twin.parametrizations.weight[0]
    own._u.copy_(layer.u)
    own._v.copy_(layer.v.view(*layer.weight.shape[2:], -1).movedim(-1, 0).flatten())
    x, y = (inputs(kind).requires_grad_() for _ in range(2))
    torch.testing.assert_close(layer(x), twin(y))
    layer(x).sin().sum().backward()
    twin(y).sin().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(layer.weight.grad, twin.parametrizations.weight.original.grad)
    assert layer.weight.grad.stride() == layer.weight.stride()
    # The rescaling matters: without it the gradient would be another.
    assert torch.nn.functional.cosine_similarity(layer.weight.grad.flatten(), layer.weight.flatten(), dim=0).abs() < 0.5


def plain(layer):
    return (
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        1,
        1,
        layer.bias is not None,
    )


@pytest.mark.parametrize("layer", [SpectralConv2d(3, 4, 2), SpectralLinear(6, 4)])
def test_the_gradient_is_that_of_finite_differences(layer):
    layer = layer.double()
    layer.u.copy_(values(*layer.u.shape, seed=1))  # for any vectors, not only at the maximum
    layer.v.copy_(values(*layer.v.shape, seed=2))
    layer.weight.data.copy_(values(*layer.weight.shape, seed=3))
    assert torch.autograd.gradcheck(lambda weight: layer.normalised_weight(), layer.weight)


def test_forward_and_backward_change_no_state():
    model = built(critic)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    x = inputs("convolution")
    first = model(x)
    first.sum().backward()
    assert torch.equal(model(x), first)
    assert same(before, model.state_dict())
    iterate_spectral_norm(model)
    model(x).sum().backward()
    assert same(before, model.state_dict())


def test_iterating_twice_is_iterating_once_and_commit_is_what_moves():
    once, twice = built(critic), built(critic)
    start, x = vectors(once), inputs("convolution")
    before = once(x)
    iterate_spectral_norm(once)
    for _ in range(2):
        iterate_spectral_norm(twice)
    assert same(vectors(once), start)
    ahead = once(x)
    assert not torch.equal(ahead, before)
    assert torch.equal(twice(x), ahead)
    for module in (once, twice):
        commit_spectral_norm(module)
        assert torch.equal(module(x), ahead)
    assert same(vectors(once), vectors(twice))
    assert not any(torch.equal(value, start[key]) for key, value in vectors(once).items())
    moved = vectors(once)
    commit_spectral_norm(once)  # nothing is under way
    assert same(vectors(once), moved)


def test_an_iteration_is_the_papers():
    layer = built(LAYERS["convolution"])
    matrix = layer.weight.detach().permute(0, 2, 3, 1).reshape(8, -1).double().numpy()
    v = matrix.T @ layer.u.double().numpy()
    v /= np.linalg.norm(v)
    u = matrix @ v
    advance(layer, 1)
    np.testing.assert_allclose(layer.v, v, atol=1e-6)
    np.testing.assert_allclose(layer.u, u / np.linalg.norm(u), atol=1e-6)


def test_modules_without_spectral_layers_are_left_alone():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    advance(model, 1)
    assert same(before, model.state_dict())


def test_first_vectors_depend_on_seed_and_name_and_are_of_length_1():
    first = vectors(built(critic))
    assert len(first) == 6
    assert same(first, vectors(built(critic)))
    assert not any(torch.equal(value, first[key]) for key, value in vectors(built(critic, seed=2)).items())
    assert all(value.norm().item() == pytest.approx(1) for value in first.values())
    # Two layers with the same weights begin differently.
    pair = built(lambda: nn.Sequential(SpectralLinear(64, 64), SpectralLinear(64, 64)))
    pair[1].weight.data.copy_(pair[0].weight)
    initialise_spectral("module", pair, Draws(1))
    assert not torch.equal(pair[0].u, pair[1].u)


def test_memory_formats_give_the_same_numbers():
    ours, plain_format = built(critic), built(critic, memory_format=torch.contiguous_format)
    assert not ours[2].weight.is_contiguous()
    assert plain_format[2].weight.is_contiguous()
    for module in (ours, plain_format):
        advance(module, 3)
        iterate_spectral_norm(module)
    assert same(vectors(ours), vectors(plain_format))
    layers = zip(spectral_layers(ours).values(), spectral_layers(plain_format).values(), strict=True)
    assert all(torch.equal(a.normalised_weight(), b.normalised_weight()) for a, b in layers)
    weight = ours[2].weight
    assert as_matrix(weight).data_ptr() == weight.data_ptr()  # not copied


def test_a_checkpoint_holds_the_committed_vectors_only():
    module = built(critic)
    advance(module, 2)
    iterate_spectral_norm(module)
    saved = load(save({key: value.contiguous() for key, value in module.state_dict().items()}))
    assert {key.split(".")[-1] for key in saved} == {"weight", "bias", "u", "v"}
    other = built(critic, seed=2)
    other.load_state_dict(saved)
    x = inputs("convolution")
    assert not torch.equal(other(x), module(x))  # which is ahead
    for each in (module, other):
        iterate_spectral_norm(each)
    assert torch.equal(other(x), module(x))


def test_a_copy_is_independent():
    module = built(critic)
    iterate_spectral_norm(module)
    x = inputs("convolution")
    average = copy.deepcopy(module).eval().requires_grad_(False)
    expected = module(x)
    assert torch.equal(average(x), expected)
    commit_spectral_norm(module)
    advance(module, 2)
    assert torch.equal(average(x), expected)
    for mine, theirs in zip(average.buffers(), module.buffers(), strict=True):
        mine.copy_(theirs)
    commit_spectral_norm(average)
    assert torch.equal(average(x), module(x))


def test_under_autocast_the_weight_is_normalised_in_float32():
    layer = built(LAYERS["convolution"])
    x, expected = inputs("convolution"), layer.normalised_weight()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.normalised_weight(), expected)
        y = layer(x)
        iterate_spectral_norm(layer)
    twin = built(LAYERS["convolution"])
    iterate_spectral_norm(twin)
    assert torch.equal(layer.next_v, twin.next_v)
    assert y.dtype == torch.bfloat16
    y.float().square().sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    assert torch.isfinite(layer.weight.grad).all()


def test_a_penalty_on_the_gradient_reaches_the_weights():
    """R1 and WGAN-GP differentiate the gradient with respect to images; for one linear layer that is w / sigma."""
    layer = built(lambda: SpectralLinear(12, 1))
    x = values(4, 12).requires_grad_()
    (gradient,) = torch.autograd.grad((layer(x) * values(4, 1)).sum(), x, create_graph=True)
    gradient.sum().backward()
    through = layer.weight.grad.clone()
    layer.weight.grad = None
    (values(4, 1) * layer.normalised_weight()).sum().backward()
    torch.testing.assert_close(through, layer.weight.grad)


def test_shapes_can_be_asked_for_without_memory():
    with torch.device("meta"):
        assert critic()(torch.empty(2, 3, 8, 8)).shape == (2, 2)
    assert isinstance(critic()[0], SpectralLayer)
