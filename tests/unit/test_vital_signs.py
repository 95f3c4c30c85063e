"""What is measured of a model: on tiny ones, healthy and collapsed, against plain NumPy."""

import numpy as np
import pytest
import torch

from gen_dist.data.pack import Pack
from gen_dist.data.stream import Stream
from gen_dist.showing import sample_images
from gen_dist.vital_signs import VitalSigns, count_active, distances
from tests.packs import noise, pack_of
from tests.training_cases import case, engine_of, run_steps

CPU = torch.device("cpu")


def naive_distances(images):
    flat = images.reshape(len(images), -1).astype(float)
    apart = [[np.sqrt(((a - b) ** 2).sum()) for j, b in enumerate(flat) if j != i] for i, a in enumerate(flat)]
    return np.mean(apart), np.mean([min(row) for row in apart])


@pytest.mark.parametrize("shape", [(5, 16, 16, 3), (2, 6, 5, 1), (3, 160, 150, 3)])
def test_distances(shape):
    images = noise(shape[0], shape[1:])
    assert distances(images) == pytest.approx(naive_distances(images), rel=1e-12)


def test_distances_of_alike_and_of_single_images():
    images = noise(4)
    assert distances(images[:1]) == (0.0, 0.0)
    assert distances(images[[0, 0, 0]]) == (0.0, 0.0)
    apart, nearest = distances(images[[0, 1, 0, 1]])
    assert nearest == 0 < apart


def test_distances_do_not_depend_on_threads():
    images, before, found = noise(64, (40, 40, 3)), torch.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.add(distances(images))
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


def test_active_units_are_those_whose_variance_over_the_images_is_above_a_hundredth():
    numbers = np.random.default_rng(0).normal(size=(500, 6))
    numbers = (numbers - numbers.mean(0)) / numbers.std(0)
    means = numbers * np.sqrt([0.0, 0.0099, 0.0101, 0.02, 1.0, 4.0]) + [3.0, -2.0, 0.0, 100.0, 5.0, 0.0]
    assert count_active(torch.from_numpy(means)) == 4


@pytest.fixture(scope="module")
def signs_of(tiny_pack):
    pack = Pack.open(tiny_pack)

    def measure(engine):
        samples = sample_images(engine.objective, engine.state.showing, 0, 64, CPU)
        return VitalSigns(pack, engine.loader.stream).measure(engine.objective, engine.state.showing, samples, CPU)

    return measure


@pytest.fixture
def engine(request, tiny_pack):
    engine = engine_of(case(request.param), tiny_pack)
    yield engine
    engine.loader.close()


def silence(module):
    """Makes a linear or convolutional layer ignore what it gets."""
    with torch.no_grad():
        module.weight.zero_()


def layers_of(module):
    return [layer for layer in module.modules() if getattr(getattr(layer, "weight", None), "dim", lambda: 0)() > 1]


@pytest.mark.parametrize("engine", ["vae", "dcgan", "growing", "vaegan"], indirect=True)
def test_measuring_changes_nothing_and_says_the_same_again(engine, signs_of):
    run_steps(engine, 1)
    before, training = engine.state.hash(), [module.training for module in engine.state.modules.values()]
    found = signs_of(engine)
    assert set(found) - {"active_units"} == {"sample_distance", "nearest_sample"}
    assert ("active_units" in found) == ("encoder" in engine.state.modules)
    assert all(np.isfinite(value) and type(value) is float for value in found.values())
    assert signs_of(engine) == found
    assert engine.state.hash() == before
    assert [module.training for module in engine.state.modules.values()] == training


@pytest.mark.parametrize("engine", ["dcgan"], indirect=True)
def test_a_generator_that_ignores_its_latent(engine, signs_of):
    assert signs_of(engine)["sample_distance"] > 0
    silence(layers_of(engine.state.showing["generator"])[0])
    assert signs_of(engine) == {"sample_distance": 0.0, "nearest_sample": 0.0}


@pytest.mark.parametrize("engine", ["vae", "vae-bernoulli", "vaegan"], indirect=True)
def test_an_encoder_that_ignores_its_images(engine, signs_of):
    """With moving averages ("vae-bernoulli"), it is the averaged encoder that is measured."""
    encoder = engine.state.showing["encoder"]
    with torch.no_grad():
        layers_of(encoder)[-1].weight.mul_(1e6)  # before training, signals are weak
    assert signs_of(engine)["active_units"] == 4
    silence(layers_of(encoder)[-1])
    assert signs_of(engine)["active_units"] == 0


@pytest.mark.parametrize("images", [1, 15, 16, 300])
def test_packs_of_few_images_and_of_many(images, tmp_path):
    """As many samples are compared as there are real images, if those are enough to say anything."""

    class Mirror:
        """Its latent is the image's first pixel."""

        pixel_range = (0.0, 1.0)

        def posterior_means(self, modules, x_NCHW, draws):
            seen.append((len(x_NCHW), draws.positions.tolist(), float(x_NCHW.min()), float(x_NCHW.max())))
            return x_NCHW[:, :, 0, 0]

    seen = []
    content = noise(images, (8, 8, 3))
    content[::2, 0, 0], content[1::2, 0, 0] = 0, 255
    pack = Pack.open(pack_of(tmp_path / "pack", content))
    signs = VitalSigns(pack, Stream(0, images))
    samples = pack.read(Stream(0, images).indices(np.arange(min(images, 64))))
    found = signs.measure(Mirror(), {}, np.concatenate((samples, samples))[:64], CPU)
    assert found.pop("active_units") == (0 if images == 1 else 3)
    assert found == ({} if images < 16 else {"sample_distance": 1.0, "nearest_sample": 1.0})
    assert sum(count for count, *_ in seen) == min(images, 256)
    assert [p for _, positions, *_ in seen for p in positions] == list(range(min(images, 256)))
    assert min(low for *_, low, _ in seen) >= 0
    assert max(high for *_, high in seen) <= 1


def test_equal_images_have_no_distance_to_compare_with(tmp_path):
    pack = Pack.open(pack_of(tmp_path / "pack", np.repeat(noise(1, (8, 8, 3)), 20, axis=0)))

    class Silent:
        pixel_range = (0.0, 1.0)

        def posterior_means(self, modules, x_NCHW, draws):
            return None

    assert VitalSigns(pack, Stream(0, 20)).measure(Silent(), {}, noise(64, (8, 8, 3)), CPU) == {}
