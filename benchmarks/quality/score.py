"""What a trained system is worth: distances of its samples to held-out images, or its bound of their likelihood."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gen_dist.data.pack import Pack
from gen_dist.draws import Draws
from gen_dist.engine.engine import Engine
from gen_dist.scores.classifier import LeNet, accuracy, lenet_features, load_lenet, save_lenet, train_lenet
from gen_dist.scores.elbo import held_out_elbo
from gen_dist.scores.floor import above_floor
from gen_dist.scores.kernel_distance import frechet_distance, kernel_distance
from gen_dist.scores.nearest import neighbours
from gen_dist.scores.pixel_likelihoods import bernoulli_nll, unit_images
from gen_dist.scores.sliced_wasserstein import sliced_wasserstein
from gen_dist.showing import sample_images

SEED = 2026  # of everything that is drawn for scores, the same for all cells
MOST_SAMPLES = 2000
SHOWN = 64

Scores = dict[str, float]


def all_images(pack: Pack) -> np.ndarray:
    return pack.read(np.arange(len(pack)))


def samples_of(engine: Engine, count: int) -> np.ndarray:
    return sample_images(engine.objective, engine.state.showing, SEED, count, engine.device)


def sample_scores(samples: np.ndarray, train: Pack, held_out: Pack, lenet: LeNet | None) -> Scores:
    """Of `samples`, uint8 (n, H, W, C): distances to the held-out images, the same of training images as floors."""
    draws = Draws(SEED)
    real, new = all_images(train), all_images(held_out)

    def sliced(a: np.ndarray, b: np.ndarray) -> float:
        return sliced_wasserstein(a, b, draws).mean

    found = above_floor(sliced, samples, real, new, draws)
    near = neighbours(samples, real, new)
    scores = {
        "sliced_wasserstein": found.distance,
        "sliced_wasserstein_floor": found.floor,
        "nearest_train": near.to_train,
        "nearest_held_out": near.to_held_out,
        "nearest_held_out_to_train": near.held_out_to_train,
        "closer_to_train": near.closer,
    }
    return scores if lenet is None else scores | lenet_scores(lenet, samples, real, new)


def lenet_scores(lenet: LeNet, samples: np.ndarray, real: np.ndarray, new: np.ndarray) -> Scores:
    draws = Draws(SEED)
    features, train, held_out = (lenet_features(lenet, images) for images in (samples, real, new))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return kernel_distance(a, b, draws).value

    found = above_floor(kernel, features, train, held_out, draws)
    frechet = above_floor(frechet_distance, features, train, held_out, draws)
    return {
        "kernel_distance": found.distance,
        "kernel_distance_floor": found.floor,
        "frechet_distance": frechet.distance,
        "frechet_distance_floor": frechet.floor,
    }


def classifier_of(train: Pack, held_out: Pack, folder: Path) -> LeNet | None:
    """Trained on the training images' classes, once for all cells of a table; None where there are no classes."""
    if train.labels is None or held_out.labels is None:
        return None
    path = folder / "lenet.safetensors"
    if not path.exists():
        lenet = train_lenet(all_images(train), np.asarray(train.labels), Draws(SEED))
        right = accuracy(lenet, all_images(held_out), np.asarray(held_out.labels))
        save_lenet(lenet, path)
        path.with_suffix(".json").write_text(json.dumps({"accuracy": right}) + "\n")
    return load_lenet(path)


def elbo_scores(encoder: Callable, decoder: Callable, held_out: Pack) -> Scores:
    """Of the held-out images, with Bernoulli pixels: what all systems of the table were trained for."""
    images = unit_images(all_images(held_out))
    elbo = held_out_elbo(encoder, decoder, bernoulli_nll, images, Draws(SEED), samples=4)
    return {"negative_elbo": elbo.negative, "reconstruction": elbo.reconstruction, "kl": elbo.kl}
