"""Sets of images to score, and what makes them worse."""

import numpy as np


def blobs(n: int, size: int = 32, channels: int = 1, seed: int = 0) -> np.ndarray:
    """n different images of one soft disc each: uint8 (n, size, size, channels)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    centres = generator.uniform(0.3, 0.7, (n, 2, 1, 1))
    radii = generator.uniform(0.1, 0.3, (n, 1, 1))
    distance = np.hypot(y - centres[:, 0], x - centres[:, 1])
    disc = 1 / (1 + np.exp((distance - radii) * 3 * size / 4))
    colours = generator.uniform(100, 250, (n, 1, 1, channels))
    return (disc[..., None] * colours).astype(np.uint8)


def stripes(n: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (n, size, size, 1) and labels (n,): across, upright or none, with noise."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, n)
    waves = 40 * np.sin(np.arange(size) + generator.uniform(0, 6, (n, 1)))
    images = 128 + generator.normal(0, 40, (n, size, size))
    images += np.where((labels == 0)[:, None, None], waves[:, :, None], 0)
    images += np.where((labels == 1)[:, None, None], waves[:, None, :], 0)
    return images.clip(0, 255).astype(np.uint8)[..., None], labels


def blurred(images: np.ndarray, times: int) -> np.ndarray:
    smooth = images.astype(np.float64)
    for _ in range(times):
        smooth = sum(np.roll(smooth, shift, axis) for shift in (-1, 0, 1) for axis in (1, 2)) / 6
    return smooth.astype(np.uint8)


def noisy(images: np.ndarray, std: float, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, std, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


def repeating(images: np.ndarray, modes: int) -> np.ndarray:
    """As many, but only `modes` different ones."""
    return images[np.arange(len(images)) % modes]
