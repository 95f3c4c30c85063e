"""Blocks against plain torch, and every family at many sizes."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gen_dist.draws import Draws, SampleDraws
from gen_dist.models.blocks import Chain, convolution, mirrored_convolution
from gen_dist.models.build import Modules, build_modules, count_parameters
from gen_dist.models.convolution import Conv2d, ConvTranspose2d
from gen_dist.models.layers import Dropout, GhostBatchNorm, Stack
from gen_dist.models.spectral import SpectralConv2d, SpectralLinear, spectral_layers
from gen_dist.presets import load_config, parse_config

GEOMETRIES = [(k, s, side) for k in range(1, 8) for s in range(1, 5) for side in (1, 2, 3, 4, 5, 8, 9, 16, 23)]


def numbers(seed: int, *shape: int) -> Tensor:
    values = torch.from_numpy(np.random.default_rng(seed).normal(size=shape))  # float64: what is equal is seen
    return values.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else values


def filled(layers: list[nn.Module]) -> nn.Sequential:
    """With values of their own, in float64."""
    model = nn.Sequential(*layers).double()
    for i, parameter in enumerate(model.parameters()):
        parameter.data = numbers(i, *parameter.shape)
    return model


def gradients(output: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(output, inputs, numbers(99, *output.shape))


def test_a_convolution_is_one_of_the_padded_image_and_leaves_the_side_over_the_stride():
    for kernel, stride, side in GEOMETRIES:
        model = filled(convolution(2, 3, kernel, side, stride))
        weight, bias = model.parameters()
        x = numbers(7, 2, 2, side, side).requires_grad_()
        y = model(x)
        reached = -(-side // stride)
        assert y.shape[2:] == (reached, reached), (kernel, stride, side)
        total = max(0, (reached - 1) * stride + kernel - side)
        # TensorFlow's padding "same"; with a stride the larger half comes first.
        first = total // 2 if stride == 1 else total - total // 2
        plain = F.conv2d(F.pad(x, (first, total - first, first, total - first)), weight, bias, stride)
        torch.testing.assert_close(y, plain)
        torch.testing.assert_close(gradients(y, x, weight, bias), gradients(plain, x, weight, bias))


def test_a_mirrored_convolution_leads_back_and_is_the_gradient_of_the_convolution():
    for kernel, stride, side in GEOMETRIES:
        back = filled(mirrored_convolution(3, 2, kernel, side, stride, bias=False))
        small = numbers(8, 2, 3, -(-side // stride), -(-side // stride)).requires_grad_()
        y = back(small)
        assert y.shape[2:] == (side, side), (kernel, stride, side)
        if stride > 1:
            weight = next(back.parameters())
            way = nn.Sequential(*convolution(2, 3, kernel, side, stride, bias=False)).double()
            next(way.parameters()).data = weight.data
            x = numbers(9, 2, 2, side, side).requires_grad_()
            plain = torch.autograd.grad(way(x), x, small, create_graph=True)[0]
            torch.testing.assert_close(y, plain)
            torch.testing.assert_close(gradients(y, small), gradients(plain, small))


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (3, 1), (5, 1), (5, 2), (3, 2), (2, 2)])
def test_usual_convolutions_of_even_sides_need_no_pads_and_no_crops(kernel, stride):
    assert [type(layer) for layer in convolution(2, 3, kernel, 16, stride)] == [Conv2d]
    back = mirrored_convolution(2, 3, kernel, 16, stride)
    assert [type(layer) for layer in back] == [Conv2d if stride == 1 else ConvTranspose2d]


@pytest.mark.parametrize(("side", "source"), [(6, [0, 0, 1, 1, 2, 2]), (5, [0, 0, 1, 1, 2])])
def test_enlarging_repeats_pixels(side, source):
    chain = Chain(3, 3)
    chain.enlarge(side)
    x = numbers(1, 2, 3, 3, 3).requires_grad_()
    y, plain = chain.layers[0](x), x[:, :, source][:, :, :, source]
    assert torch.equal(y, plain)
    torch.testing.assert_close(gradients(y, x), gradients(plain, x))


@pytest.mark.parametrize(("kind", "side"), [("max", 6), ("max", 7), ("avg", 6), ("avg", 7)])
def test_pooling_takes_squares_of_four_pixels(kind, side):
    chain = Chain(3, side)
    chain.pool(kind)
    x = numbers(2, 2, 3, side, side).requires_grad_()
    squares = x[:, :, :6, :6].reshape(2, 3, 3, 2, 3, 2)
    plain = squares.amax((3, 5)) if kind == "max" else squares.mean((3, 5))
    y = nn.Sequential(*chain.layers)(x)
    assert chain.side == y.shape[2] == 3
    torch.testing.assert_close(y, plain)
    torch.testing.assert_close(gradients(y, x), gradients(plain, x))


def test_linear_layers_flatten_first_and_a_chain_knows_its_shape():
    chain = Chain(2, 3)
    chain.linear(5)
    chain.linear(12)
    chain.unflatten(3, 2)
    model = filled(chain.layers)
    x = numbers(3, 4, 2, 3, 3).requires_grad_()
    first, first_bias, second, second_bias = model.parameters()
    plain = ((x.reshape(4, 18) @ first.T + first_bias) @ second.T + second_bias).view(4, 3, 2, 2)
    assert (chain.channels, chain.side, chain.features) == (3, 2, 12)
    torch.testing.assert_close(model(x), plain)
    torch.testing.assert_close(gradients(model(x), x, first), gradients(plain, x, first))


@pytest.mark.parametrize(("name", "slope"), [("relu", 0.0), ("leaky_relu", 0.2), ("tanh", None)])
def test_activations(name, slope):
    chain = Chain(3)
    chain.activate(name)
    x = numbers(4, 5, 3).requires_grad_()
    plain = x.tanh() if slope is None else torch.where(x > 0, x, slope * x)
    torch.testing.assert_close(chain.layers[0](x), plain)
    torch.testing.assert_close(gradients(chain.layers[0](x), x), gradients(plain, x))


def test_batch_norm_of_features_is_that_of_torch():
    layer, twin = GhostBatchNorm(3).double(), nn.BatchNorm1d(3).double()
    layer.load_state_dict({name: value for name, value in twin.state_dict().items() if "tracked" not in name})
    x = numbers(5, 6, 3).requires_grad_()
    torch.testing.assert_close(layer(x), twin(x))
    torch.testing.assert_close(gradients(layer(x), x, layer.weight), gradients(twin(x), x, twin.weight))


def draws_at(*positions: int) -> SampleDraws:
    return Draws(3).at(5, 1, np.array(positions, dtype=np.int64))


def test_dropout_by_channel_drops_whole_maps():
    x = torch.ones(64, 16, 4, 4)
    y = Dropout(0.25, "here", "channel")(x, draws_at(*range(64)))
    maps = y.flatten(2)
    assert torch.equal(maps.amin(2), maps.amax(2))
    assert maps.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (maps[:, :, 0] != 0).float().mean().item() == pytest.approx(0.75, abs=0.04)
    assert torch.equal(y[3:], Dropout(0.25, "here", "channel")(x[3:], draws_at(*range(3, 64))))
    dropped = [Dropout(0.25, "here", kind)(x[:, :, 0, 0], draws_at(*range(64))) for kind in ("channel", "element")]
    assert torch.equal(*dropped)  # of features there is but one kind


def test_a_spectral_chain_holds_spectral_layers_only():
    chain = Chain(3, 8, spectral=True)
    chain.convolve(4, 4, 2)
    chain.convolve(4, 4)  # an even kernel, which is padded apart
    chain.convolve_inside(4, 3)
    chain.linear(2)
    assert [type(layer) for layer in chain.layers if list(layer.parameters())] == [
        *[SpectralConv2d] * 3,
        SpectralLinear,
    ]


def modules_of(model: dict, size: int, channels: int) -> Modules:
    kind = "vae" if model["family"] == "vae" else "gan"
    config = parse_config({"data": {"size": size}, "model": {"latent": 3, **model}, "objective": {"kind": kind}})
    return build_modules(config, channels)


FAMILIES = {
    "vae": {"family": "vae", "width": 2, "dropout": 0.2},
    "vae-list": {"family": "vae", "layers": ["3k2", "2k2s2bn", "2k3s2", "2k5s3bn", "2k3", "fc4bn", "fc3"]},
    "vae-mlp": {"family": "vae", "layers": ["fc4"], "activation": "tanh"},
    "dcgan": {"family": "dcgan", "generator_width": 2, "discriminator_width": 2, "dropout": 0.2},
    "dcgan-spectral": {
        "family": "dcgan", "generator_width": 2, "discriminator_width": 2, "up": "resize", "generator_kernel": 5,
        "discriminator_kernel": 3, "discriminator_norm": "spectral", "dropout": 0.2, "dropout_kind": "channel",
    },
    "dcgan-odd": {
        "family": "dcgan", "generator_width": 2, "discriminator_width": 2, "generator_kernel": 7,
        "discriminator_kernel": 5, "discriminator_norm": "none",
    },
    "dcgan-even-resize": {"family": "dcgan", "generator_width": 2, "discriminator_width": 2, "up": "resize"},
    "gan-mlp": {"family": "gan", "generator_layers": ["fc4bn", "fc3"], "discriminator_layers": ["fc4", "fc3bn"]},
    "gan-flat": {
        "family": "gan", "generator_layers": ["map2fbn", "2k4", "outk3bn"],
        "discriminator_layers": ["2k3s2", "2k3validavgbn", "fc3bn"], "norm_place": "after", "dropout": 0.2,
    },
    "gan": {
        "family": "gan", "generator_layers": ["fc3", "map2bn", "2k5upbn", "outk4t2bn"], "dropout": 0.2,
        "discriminator_layers": ["2k5s2", "2k4bn", "2k3max", "fc3"], "generator_activation": "tanh",
    },
    "gan-spectral": {
        "family": "gan", "generator_layers": ["map2", "2k3up", "2k2t2", "outk3"], "discriminator_norm": "spectral",
        "discriminator_layers": ["2k4", "2k3s2bn", "fc3bn"], "discriminator_activation": "relu",
    },
}  # fmt: skip
SIZES = [16, 17, 20, 23, 28, 32, 36, 48, 64, 92, 96, 100, 128]
DOUBLING_TWICE = ("gan", "gan-spectral")


def possible(sizes: list[int]) -> list[tuple[str, int]]:
    """All families at all sizes; test_layer_list.py tests that the others are refused."""
    return [(name, size) for name in FAMILIES for size in sizes if name not in DOUBLING_TWICE or size % 4 == 0]


def check_outputs(modules: Modules, size: int, channels: int) -> None:
    draws = draws_at(0, 1)
    images = numbers(1, 2, channels, size, size).float()
    z = numbers(2, 2, 3).float()
    if "encoder" in modules:
        mean, log_variance = modules["encoder"](images, draws)
        made = modules["decoder"](mean)
        assert mean.shape == log_variance.shape == (2, 3)
        outputs = (mean, log_variance)
    else:
        made = modules["generator"](z)
        logits = modules["discriminator"](made, draws)
        assert logits.shape == (2,)
        assert made.detach().abs().max() <= 1
        outputs = (logits,)
    assert made.shape == (2, channels, size, size)
    for output in (*outputs, made):
        assert output.dtype == torch.float32
        assert output.isfinite().all()
    sum(output.sum() for output in (*outputs, made)).backward()
    without = [n for m in modules.values() for n, p in m.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.parametrize(("family", "size"), possible(SIZES))
def test_every_family_makes_images_of_every_size(family, size):
    for channels in (1, 3):
        check_outputs(modules_of(FAMILIES[family], size, channels), size, channels)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_runs_in_bf16(family):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        check_outputs(modules_of(FAMILIES[family], 20, 3), 20, 3)


@pytest.mark.parametrize(("family", "size"), possible([8, 250, 256, 1024]))
def test_every_family_can_be_constructed_at_small_and_large_sizes(family, size):
    kind = "vae" if family.startswith("vae") else "gan"
    config = parse_config({"data": {"size": size}, "model": FAMILIES[family], "objective": {"kind": kind}})
    assert all(count > 0 for count in count_parameters(config).values())


@pytest.mark.parametrize("preset", ["sngan-small", "dcgan-grow-64", "vaegan-64"])
@pytest.mark.parametrize("size", [16, 24, 80, 160, 192, 256])
def test_other_families_can_be_constructed_at_every_size_too(preset, size):
    config = load_config(preset, [f"data.size={size}"])
    assert all(count > 0 for channels in (1, 3) for count in count_parameters(config, channels).values())


@pytest.mark.parametrize(
    ("family", "size", "shape"),
    [
        ("dcgan", 64, (8, 8, 8)),  # levels of 2, 4, 8, 16 channels
        ("dcgan", 23, (2, 12, 12)),
        ("dcgan", 8, (2, 4, 4)),  # one level only
        ("gan", 16, (2, 8, 8)),
        ("gan-mlp", 16, (4,)),
    ],
)
def test_features_are_those_of_the_last_but_one_level_and_the_logits_the_same(family, size, shape):
    discriminator = modules_of(FAMILIES[family], size, 3)["discriminator"]
    images, draws = numbers(1, 4, 3, size, size).float(), draws_at(0, 1, 2, 3)
    logits, features = discriminator.with_features(images, draws)
    assert features.shape == (4, *shape)
    assert torch.equal(logits, discriminator(images, draws))
    assert torch.autograd.grad(logits.sum(), features)[0].abs().sum() > 0


def test_spectral_norm_is_in_every_weight_layer_of_the_discriminator_only():
    for family in ("dcgan-spectral", "gan-spectral"):
        modules = modules_of(FAMILIES[family], 16, 3)
        weights = [n for n, p in modules["discriminator"].named_parameters() if n.endswith("weight")]
        assert {f"{path}.weight" for path in spectral_layers(modules["discriminator"])} == set(weights)
        assert not spectral_layers(modules["generator"])


def kinds(module: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in module.layers]


def test_the_order_within_a_discriminators_layer():
    layers = {"family": "gan", "discriminator_layers": ["2k3s2bn", "2k3maxbn", "fc3bn"]}
    before = kinds(modules_of(layers, 16, 3)["discriminator"])
    assert before == [
        "Conv2d", "GhostBatchNorm", "LeakyReLU", "Dropout",
        "Conv2d", "GhostBatchNorm", "LeakyReLU", "MaxPool2d", "Dropout",
        "Reshape", "Linear", "GhostBatchNorm", "LeakyReLU", "Dropout", "Linear", "Reshape",
    ]  # fmt: skip
    after = kinds(modules_of({**layers, "norm_place": "after"}, 16, 3)["discriminator"])
    assert after == [
        "Conv2d", "LeakyReLU", "Dropout", "GhostBatchNorm",
        "Conv2d", "LeakyReLU", "MaxPool2d", "Dropout", "GhostBatchNorm",
        "Reshape", "Linear", "LeakyReLU", "Dropout", "GhostBatchNorm", "Linear", "Reshape",
    ]  # fmt: skip
    none = modules_of({**layers, "discriminator_norm": "none"}, 16, 3)["discriminator"]
    assert "GhostBatchNorm" not in kinds(none)
    assert all(layer.bias is not None for layer in none.layers if hasattr(layer, "bias"))


def test_the_order_within_a_generator():
    layers = {"family": "gan", "generator_layers": ["fc4bn", "map2fbn", "2k3up", "outk3bn"]}
    assert kinds(modules_of(layers, 16, 3)["generator"]) == [
        "Linear", "GhostBatchNorm", "ReLU", "Linear", "GhostBatchNorm", "Reshape", "ReLU",
        "Enlarge", "Conv2d", "ReLU", "Conv2d", "GhostBatchNorm", "Tanh",
    ]  # fmt: skip
    assert kinds(modules_of({**layers, "generator_layers": ["map2bnlinear", "outk3up"]}, 16, 3)["generator"]) == [
        "Linear", "Reshape", "GhostBatchNorm", "Enlarge", "Conv2d", "Tanh",
    ]  # fmt: skip
    assert kinds(modules_of({**layers, "generator_layers": ["fc4"]}, 16, 3)["generator"]) == [
        "Linear", "ReLU", "Linear", "Reshape", "Tanh",
    ]  # fmt: skip


def test_a_decoder_is_the_encoders_mirror_image_with_batch_norm_at_the_same_images():
    modules = modules_of({"family": "vae", "layers": ["2k4s2bn", "3k3", "4k5s2bn", "fc5"]}, 23, 1)
    shapes: dict[str, list[str]] = {name: [] for name in modules}

    def note(name: str, layer: nn.Module, output: Tensor) -> None:
        if isinstance(layer, GhostBatchNorm | nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            norm = "norm " if isinstance(layer, GhostBatchNorm) else ""
            shapes[name].append(f"{norm}{tuple(output.shape[1:])}")

    for name, module in modules.items():
        for layer in module.layers:
            layer.register_forward_hook(lambda layer, _, output, name=name: note(name, layer, output))
    modules["decoder"](modules["encoder"](numbers(1, 2, 1, 23, 23).float(), draws_at(0, 1))[0])
    assert shapes == {
        "encoder": ["(2, 12, 12)", "norm (2, 12, 12)", "(3, 12, 12)", "(4, 6, 6)", "norm (4, 6, 6)", "(5,)", "(6,)"],
        "decoder": [
            "(5,)",
            "(144,)",
            "norm (4, 6, 6)",
            "(3, 12, 12)",
            "(2, 12, 12)",
            "norm (2, 12, 12)",
            "(1, 23, 23)",
        ],
    }


def test_a_width_is_short_for_a_list():
    by_width = modules_of({"family": "vae", "width": 2}, 32, 3)
    by_list = modules_of({"family": "vae", "layers": ["2k4s2bn", "4k4s2bn", "8k4s2bn"]}, 32, 3)
    for name, module in by_width.items():
        state = by_list[name].state_dict()
        assert state.keys() == module.state_dict().keys()
        assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())


def test_layers_of_even_sides_are_those_of_the_tutorial():
    generator, discriminator = modules_of(FAMILIES["dcgan"], 64, 3).values()
    assert kinds(generator) == [
        "Reshape",
        *["ConvTranspose2d", "GhostBatchNorm", "ReLU"] * 4,
        "ConvTranspose2d",
        "Tanh",
    ]
    assert kinds(discriminator) == [
        "Conv2d", "LeakyReLU", "Dropout", *["Conv2d", "GhostBatchNorm", "LeakyReLU", "Dropout"] * 3,
        "Conv2d", "Reshape",
    ]  # fmt: skip
    convolutions = [layer for layer in (*generator.layers, *discriminator.layers) if hasattr(layer, "kernel_size")]
    assert [(layer.kernel_size, layer.stride, layer.padding) for layer in convolutions] == [
        ((4, 4), (1, 1), (0, 0)), *[((4, 4), (2, 2), (1, 1))] * 8, ((4, 4), (1, 1), (0, 0)),
    ]  # fmt: skip
    assert all(layer.bias is None for layer in convolutions)
    assert isinstance(discriminator.layers, Stack)
