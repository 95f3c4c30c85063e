"""PSNR, SSIM and MS-SSIM: against torchmetrics, at their ends, and what is refused."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from gen_dist.scores.pixel_likelihoods import unit_images
from gen_dist.scores.similarity import MOST_DECIBELS, WEIGHTS, ms_ssim, psnr, scales, ssim
from tests.score_images import blobs, blurred, noisy

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [11, 32, 64, 176])
def test_they_are_those_of_torchmetrics(size, channels):
    images = blobs(5, size, channels, seed=size)
    x, y = unit_images(images), unit_images(noisy(images, 20))
    theirs = peak_signal_noise_ratio(y, x, data_range=1.0, reduction="none", dim=(1, 2, 3))
    assert psnr(x, y).tolist() == pytest.approx(theirs.tolist(), rel=1e-5)
    if size > 11:  # theirs pads by reflection, for which 11 pixels are too few
        assert ssim(x, y).tolist() == pytest.approx(whole_windows(x, y).tolist(), abs=1e-5)
        assert ms_ssim(x, y).tolist() == pytest.approx(over_scales(x, y).tolist(), abs=5e-5)


BORDER = 5  # pixels, where torchmetrics' windows see reflections; Wang et al. leave these out


def whole_windows(x, y):
    _, full = structural_similarity_index_measure(y, x, data_range=1.0, reduction="none", return_full_image=True)
    return full[..., BORDER:-BORDER, BORDER:-BORDER].mean(dim=(1, 2, 3))


def over_scales(x, y):
    count, found = scales(*x.shape[2:]), torch.ones(len(x))
    for scale, weight in enumerate(WEIGHTS[:count]):
        _, contrast = structural_similarity_index_measure(
            y, x, data_range=1.0, reduction="none", return_contrast_sensitivity=True
        )
        part = whole_windows(x, y) if scale == count - 1 else contrast
        found = found * part.clamp(min=0) ** (weight / sum(WEIGHTS[:count]))
        x, y = (torch.nn.functional.avg_pool2d(images, 2) for images in (x, y))
    return found


def test_equal_images_are_at_the_top_and_opposite_ones_at_the_bottom():
    x = unit_images(blobs(3, 32, 3))
    assert psnr(x, x).tolist() == [MOST_DECIBELS] * 3
    assert ssim(x, x).tolist() == pytest.approx([1] * 3)
    assert ms_ssim(x, x).tolist() == pytest.approx([1] * 3)
    opposite = 1 - x
    assert ms_ssim(x, opposite).tolist() == [0, 0, 0]
    assert (ssim(x, opposite) < 0.1).all()
    black, white = torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    assert psnr(black, white).item() == 0
    assert math.isfinite(ms_ssim(black, white).item())


def test_they_fall_as_images_are_blurred_and_made_noisy():
    images = blobs(20, 32)
    x = unit_images(images)
    for spoilt in (lambda much: blurred(images, much), lambda much: noisy(images, 10 * much)):
        for score in (psnr, ssim, ms_ssim):
            found = [score(x, unit_images(spoilt(much))).mean().item() for much in (1, 2, 4)]
            assert found == sorted(found, reverse=True)


def test_flat_bright_images_are_not_noise():
    flat = torch.full((2, 3, 32, 32), 0.987654)
    assert ssim(flat, flat + 1e-4).tolist() == pytest.approx([1, 1], abs=1e-4)


@pytest.mark.parametrize(("size", "count"), [(10, 0), (11, 1), (16, 1), (22, 2), (32, 2), (64, 3), (176, 5), (512, 5)])
def test_scales_that_fit(size, count):
    assert scales(size, 600) == count


@pytest.mark.parametrize("score", [psnr, ssim, ms_ssim])
def test_bad_input_is_refused(score):
    with pytest.raises(ValueError, match="both alike"):
        score(torch.zeros(2, 1, 16, 16), torch.zeros(3, 1, 16, 16))
    if score is not psnr:
        with pytest.raises(ValueError, match="at least 11"):
            score(torch.zeros(2, 1, 16, 10), torch.zeros(2, 1, 16, 10))


def test_a_pair_is_scored_as_alone():
    images = blobs(6, 32)
    x, y = unit_images(images), unit_images(noisy(images, 30))
    alone = np.concatenate([ms_ssim(x[i : i + 1], y[i : i + 1]).numpy() for i in range(6)])
    assert ms_ssim(x, y).tolist() == pytest.approx(alone.tolist(), rel=1e-6)
