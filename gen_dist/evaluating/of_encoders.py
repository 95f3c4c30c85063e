"""Scores of models that encode: how likely they find images, how like the originals they make them again."""

from collections.abc import Sequence

import numpy as np

from gen_dist.config.objective import VAEObjectiveSettings
from gen_dist.evaluating.context import Context, Need
from gen_dist.evaluating.crew import Job
from gen_dist.evaluating.figures import Figure
from gen_dist.evaluating.jobs import Encoded, bounds, encode, likelihoods
from gen_dist.scores.active_units import active_units
from gen_dist.scores.estimate import Estimate, of_items
from gen_dist.scores.pixel_likelihoods import bits_per_dimension

AT_ONCE = 250  # images a job
BOUND_IMAGES = 1000  # at most: each is decoded 64 times
GREY_LEVELS = 256


class Likelihood:
    needs: frozenset[Need] = frozenset({"sigma"})

    def refusal(self, context: Context) -> str | None:
        if isinstance(context.trained.config.objective, VAEObjectiveSettings):
            return None
        return f"a {context.trained.config.objective.kind} has no likelihood of pixels"

    def jobs(self, context: Context) -> list[Job]:
        reference = context.material.reference
        few = reference.first(BOUND_IMAGES)
        tail = (context.seed, context.sigma)
        return [
            Job(function, (context.model, some, number * AT_ONCE, *tail))
            for function, images in ((likelihoods, reference), (bounds, few))
            for number, some in enumerate(images.cut(AT_ONCE))
        ]

    def figures(self, found: Sequence[np.ndarray], context: Context) -> list[Figure]:
        count = len(context.material.reference.cut(AT_ONCE))
        terms_N2, bounds_N = np.concatenate(found[:count]), np.concatenate(found[count:])
        elbo_N = terms_N2.sum(axis=1)
        dimensions = context.trained.size**2 * context.trained.channels
        levels = 1 if context.sigma is None else GREY_LEVELS
        bits_N = np.array([bits_per_dimension(nats, dimensions, levels) for nats in elbo_N])
        each = {
            "negative_elbo": elbo_N,
            "reconstruction": terms_N2[:, 0],
            "kl": terms_N2[:, 1],
            "bits_per_dimension": bits_N,
            "negative_bound": bounds_N,
        }
        detail = {
            "negative_bound": {"images": len(bounds_N), "negative_elbo": float(elbo_N[: len(bounds_N)].mean())},
            "negative_elbo": {} if context.sigma is None else {"sigma": context.sigma},
        }
        return [Figure(name, of_items(values), detail=detail.get(name)) for name, values in each.items()]


class Reconstruction:
    needs: frozenset[Need] = frozenset()

    def refusal(self, context: Context) -> str | None:
        return None if context.trained.encodes else f"a {context.trained.config.objective.kind} encodes no images"

    def jobs(self, context: Context) -> list[Job]:
        return [Job(encode, (context.model, some)) for some in context.material.reference.cut(AT_ONCE)]

    def figures(self, found: Sequence[Encoded], context: Context) -> list[Figure]:
        told = [Figure("psnr", of_items(np.concatenate([one.psnr for one in found])))]
        ssim = [one.ssim for one in found if one.ssim is not None]
        if ssim:
            told.append(Figure("ssim", of_items(np.concatenate(ssim))))
        mean_NZ = np.concatenate([one.means for one in found])
        return [*told, Figure("active_units", Estimate(active_units(mean_NZ)), detail={"of": mean_NZ.shape[1]})]
