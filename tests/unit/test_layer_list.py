"""Lists of layers: what they mean, what is refused and how, and which sides they lead to."""

import pytest

from gen_dist.errors import UserError
from gen_dist.models.layer_list import (
    DISCRIMINATOR,
    ENCODER,
    GENERATOR,
    Convolution,
    Linear,
    Map,
    doubling_layers,
    parse_layers,
    sides_down,
    why_not_down,
    why_not_up,
)
from gen_dist.presets import parse_config


@pytest.mark.parametrize(
    ("token", "layer"),
    [
        ("64k5", Convolution("64k5", 64, 5)),
        ("32k4s2bn", Convolution("32k4s2bn", 32, 4, stride=2, norm=True)),
        ("64k5max", Convolution("64k5max", 64, 5, pool="max")),
        ("128k5validmax", Convolution("128k5validmax", 128, 5, valid=True, pool="max")),
        ("8k3s2validavgbn", Convolution("8k3s2validavgbn", 8, 3, 2, valid=True, pool="avg", norm=True)),
        ("fc1024", Linear("fc1024", 1024)),
        ("fc64bn", Linear("fc64bn", 64, norm=True)),
    ],
)
def test_a_discriminators_layer(token, layer):
    assert parse_layers("key", [token], DISCRIMINATOR) == (layer,)


@pytest.mark.parametrize(
    ("token", "layer"),
    [
        ("64k4t2bn", Convolution("64k4t2bn", 64, 4, up="transpose", norm=True)),
        ("64k5up", Convolution("64k5up", 64, 5, up="resize")),
        ("outk5upbn", Convolution("outk5upbn", None, 5, up="resize", norm=True)),
        ("outk3", Convolution("outk3", None, 3)),
    ],
)
def test_a_generators_convolution(token, layer):
    last = [] if token.startswith("out") else ["outk3"]
    assert parse_layers("key", ["map8", token, *last], GENERATOR)[1] == layer


@pytest.mark.parametrize(("token", "norm"), [("map128", None), ("map128bn", "channel"), ("map128fbn", "feature")])
def test_a_map(token, norm):
    assert parse_layers("key", ["fc16", token, "outk3"], GENERATOR)[1] == Map(token, 128, norm)
    linear = f"{token}linear"
    assert parse_layers("key", [linear, "outk3"], GENERATOR)[0] == Map(linear, 128, norm, linear=True)


REFUSED = [
    (ENCODER, ["64k5x"], "'64k5x': is no layer"),
    (ENCODER, ["conv64"], "'conv64': is no layer"),
    (ENCODER, ["64"], "'64': is no layer"),
    (ENCODER, ["64k5bns2"], "'64k5bns2': is no layer"),  # another order of the marks
    (ENCODER, ["64K5"], "'64K5': is no layer"),
    (ENCODER, ["٣k3"], "is no layer"),  # digits of another script
    (ENCODER, ["8k3", "64k5 "], "'64k5 ': is no layer"),
    (ENCODER, ["64k5\n"], r"'64k5\n': is no layer"),
    (ENCODER, ["64k5up"], "'64k5up': an encoder that is mirrored has no layer with 'up'"),
    (ENCODER, ["64k5t2"], "no layer with 't2'"),
    (ENCODER, ["64k5valid"], "no layer with 'valid'"),
    (ENCODER, ["64k5max"], "no layer with 'max'"),
    (ENCODER, ["64k5avg"], "no layer with 'avg'"),
    (ENCODER, ["outk5"], "no layer with 'out'"),
    (ENCODER, ["map64"], "'map64': an encoder that is mirrored has no such layer"),
    (ENCODER, ["fc64", "8k3"], "'8k3': must come before 'fc64'"),
    (ENCODER, ["0k3"], "'0k3': channels must be from 1 to 8192"),
    (ENCODER, ["64k0"], "kernel must be from 1 to 31"),
    (ENCODER, ["64k32"], "kernel must be from 1 to 31"),
    (ENCODER, ["64k5s0"], "stride must be from 1 to 4"),
    (ENCODER, ["fc65537"], "features must be from 1 to 65536"),
    (ENCODER, ["9" * 5000 + "k3"], "channels must be from 1 to 8192"),
    (DISCRIMINATOR, [], "[]: needs one layer at least"),
    (DISCRIMINATOR, ["64k5up"], "'64k5up': a discriminator has no layer with 'up'"),
    (DISCRIMINATOR, ["64k5t2"], "no layer with 't2'"),
    (DISCRIMINATOR, ["outk5"], "no layer with 'out'"),
    (DISCRIMINATOR, ["map64", "8k3"], "'map64': a discriminator has no such layer"),
    (GENERATOR, ["64k5up"], "'64k5up': a convolution needs a map before it"),
    (GENERATOR, ["fc8", "map8"], "'map8': a map needs a convolution after it"),
    (GENERATOR, ["map8", "64k5up"], "'64k5up': the last layer must make as many channels as the image has"),
    (GENERATOR, ["map8", "64k5s2"], "'64k5s2': a generator has no layer with 's'"),
    (GENERATOR, ["map8", "64k5valid"], "no layer with 'valid'"),
    (GENERATOR, ["map8", "64k5max"], "no layer with 'max'"),
    (GENERATOR, ["map8", "outk5", "64k5"], "'outk5': only the last layer may have 'out'"),
    (GENERATOR, ["map8", "map8"], "'map8': there is a map before it"),
    (GENERATOR, ["map8", "fc8"], "'fc8': must come before 'map8'"),
]


@pytest.mark.parametrize(("grammar", "tokens", "message"), REFUSED)
def test_a_bad_list_is_refused_with_grammar_and_example(grammar, tokens, message):
    with pytest.raises(ValueError, match=r"^model\.layers ") as caught:
        parse_layers("model.layers", tokens, grammar)
    text = str(caught.value)
    assert message in text
    assert text.endswith(grammar.text)
    assert "\n" not in text


@pytest.mark.parametrize("grammar", [ENCODER, DISCRIMINATOR, GENERATOR])
def test_the_example_of_a_message_works(grammar):
    example = grammar.text.rpartition("such as [")[2].rstrip("]").split(", ")
    assert len(parse_layers("key", example, grammar)) == len(example)


@pytest.mark.parametrize(
    ("tokens", "size", "sides"),
    [
        (["64k5max", "128k5validmax", "fc1024"], 32, [32, 16, 6]),
        (["8k3", "8k4s2", "8k3s2", "8k3s2"], 92, [92, 92, 46, 23, 12]),
        (["8k2s2", "8k5s3", "8k7s4"], 25, [25, 13, 5, 2]),
        (["8k3s2valid", "8k3avg"], 16, [16, 7, 3]),
        (["fc8"], 16, [16]),
        (["8k3s2"] * 4, 8, [8, 4, 2, 1, 0]),  # one stride too many
        (["8k5valid"] * 3, 8, [8, 4, 0]),
        (["8k3max"] * 5, 8, [8, 4, 2, 1, 0]),
    ],
)
def test_sides_on_the_way_down(tokens, size, sides):
    layers = parse_layers("key", tokens, DISCRIMINATOR)
    assert sides_down(layers, size) == sides
    assert bool(why_not_down("key", layers, size)) == (sides[-1] == 0)


def test_layers_of_a_width_double_until_few_pixels_are_left():
    assert doubling_layers(32, 64) == parse_layers("key", ["32k4s2bn", "64k4s2bn", "128k4s2bn", "256k4s2bn"], ENCODER)
    assert sides_down(doubling_layers(8, 23), 23) == [23, 12, 6]


def test_a_generator_needs_a_size_that_its_doublings_reach():
    layers = parse_layers("key", ["map8", "8k3up", "8k4t2", "8k3", "outk5up"], GENERATOR)
    assert [size for size in range(8, 41) if not why_not_up("key", layers, size)] == [8, 16, 24, 32, 40]


GAN = {"family": "gan", "generator_layers": ["map8", "8k5up", "outk5up"], "discriminator_layers": ["fc8"]}
PARTS = [
    ({"family": "vae", "layers": ["64k3", "64k3up"]}, 32, "model.layers '64k3up': an encoder that is mirrored has no"),
    ({**GAN, "generator_layers": ["outk3"]}, 32, "model.generator_layers 'outk3': a convolution needs a map before it"),
    ({**GAN, "discriminator_layers": ["k3"]}, 32, "model.discriminator_layers 'k3': is no layer"),
    ({**GAN, "generator_layers": []}, 32, "model.generator_layers []: needs one layer at least"),
    (
        {"family": "vae", "layers": ["8k3s2"] * 6},
        32,
        "model.layers '8k3s2': cannot be applied to the 1 x 1 pixels that the layers before it leave of data.size 32; "
        "use data.size=33",
    ),
    ({"family": "vae", "layers": ["8k3s2"] * 11}, 32, "leave of data.size 32; use other layers"),
    (
        GAN,
        30,
        "data.size 30: model.generator_layers doubles the side 2 times, so it must be divisible by 4; "
        "use data.size=28 or data.size=32",
    ),
    (GAN, 1023, "divisible by 4; use data.size=1020 or data.size=1024"),
    (
        {**GAN, "discriminator_layers": ["8k5valid", "8k5valid"]},
        8,
        "model.discriminator_layers '8k5valid': cannot be applied to the 4 x 4 pixels that the layers before it leave "
        "of data.size 8; use data.size=12",  # 9 to 11 would do for the discriminator alone
    ),
    ({**GAN, "generator_layers": ["map512", "outk3"]}, 128, "'map512': makes 512 x 128 x 128 numbers for data.size"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "size", "message"), PARTS)
def test_a_configuration_refuses_what_cannot_be_built(model, size, message):
    kind = "vae" if model["family"] == "vae" else "gan"
    with pytest.raises(UserError) as caught:
        parse_config({"data": {"size": size}, "model": model, "objective": {"kind": kind}})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
