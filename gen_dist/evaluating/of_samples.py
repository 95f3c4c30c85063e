"""Scores of new images: how far they are from real ones, how they vary, whether they repeat what was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gen_dist.evaluating.context import Context, Need
from gen_dist.evaluating.crew import Job
from gen_dist.evaluating.figures import KINDS, Figure
from gen_dist.evaluating.jobs import (
    Distances,
    FeatureScores,
    compare_features,
    likeness_in_pairs,
    scored_size,
    wasserstein,
)
from gen_dist.evaluating.material import Chosen
from gen_dist.scores.estimate import Estimate, of_items, of_parts
from gen_dist.scores.nearest import nearest_distances
from gen_dist.scores.similarity import WINDOW

TRAIN_IMAGES = 2500  # that are compared at once
REPEATED = 0.5  # of the distance to held-out images


class Wasserstein:
    needs: frozenset[Need] = frozenset({"samples"})

    def refusal(self, context: Context) -> str | None:
        return None

    def jobs(self, context: Context) -> list[Job]:
        return [Job(wasserstein, (*some, context.seed)) for some in triples(context)]

    def figures(self, found: Sequence[Distances], context: Context) -> list[Figure]:
        samples, real = zip(*found, strict=True)
        sizes = samples[0].levels
        detail = {f"{size} pixels": float(np.mean([one.levels[size] for one in samples])) for size in sizes}
        return [beside("sliced_wasserstein", [one.mean for one in samples], [one.mean for one in real], detail=detail)]


class Features:
    """Of a classifier that is trained here, or, without classes, of coarse pixels: those tell only of coverage."""

    needs: frozenset[Need] = frozenset({"samples", "classifier"})

    def refusal(self, context: Context) -> str | None:
        return None

    def jobs(self, context: Context) -> list[Job]:
        return [Job(compare_features, (context.lenet, *some, context.seed)) for some in triples(context)]

    def figures(self, found: Sequence[FeatureScores], context: Context) -> list[Figure]:
        told = []
        which = {"classifier": found[0].classifier}
        for name, score in (("kernel_distance_lenet", "kernel"), ("frechet_distance_lenet", "frechet")):
            if context.has_classes:
                ours, real = zip(*(getattr(one, score) for one in found), strict=True)
                told.append(beside(name, ours, real, which))
        for name in ("precision", "recall"):
            ours, real = zip(*([getattr(one, name) for one in each.coverage] for each in found), strict=True)
            told.append(beside(name, ours, real))
        return told


class Diversity:
    needs: frozenset[Need] = frozenset({"samples"})

    def refusal(self, context: Context) -> str | None:
        return None if scored_size(context.trained.size) else f"needs images of at least {WINDOW} pixels a side"

    def jobs(self, context: Context) -> list[Job]:
        return [Job(likeness_in_pairs, (some,)) for some in (*context.samples, *context.reference)]

    def figures(self, found: Sequence[np.ndarray], context: Context) -> list[Figure]:
        parts = len(context.samples)
        ours, real = (of_items(np.concatenate(some)) for some in (found[:parts], found[parts:]))
        return [Figure("ms_ssim", ours, real)]


class Memorisation:
    """By distances in pixels to the nearest images: of as many training as held-out ones, and of all training ones.

    Comparing the two distances of each sample tells blurred images, which are close to everything, from repeated ones.
    Real images in the samples' place are the reference's own, each part beside the others.
    """

    needs: frozenset[Need] = frozenset({"samples"})

    def refusal(self, context: Context) -> str | None:
        if context.material.train is None:
            return "needs the training images"
        return None if context.material.held_out else "needs images that the run has not seen: --data"

    def jobs(self, context: Context) -> list[Job]:
        items, among = (*context.samples, *context.reference), (*context.real, *context.reference, *rest(context))
        return [Job(nearest_distances, (one, block)) for block in among for one in items]

    def figures(self, found: Sequence[np.ndarray], context: Context) -> list[Figure]:
        parts, size = len(context.samples), context.material.part_size
        distances = np.asarray(found).reshape(-1, 2 * parts, size)
        ours, real = distances[:, :parts], distances[:, parts:]
        told = [compare(ours[:, part], parts, {part} if parts > 1 else set()) for part in range(parts)]
        new = [compare(real[:, part], parts, {part}) for part in range(parts) if parts > 1]
        names = ("nearer_to_train", "repeats", "nearest_train")
        return [
            beside(name, [one[number] for one in told], [one[number] for one in new])
            for number, name in enumerate(names)
        ]


def rest(context: Context) -> list[Chosen]:
    """The training images that are in no part."""
    train = context.material.train
    assert train is not None
    others = np.setdiff1d(np.arange(len(train)), np.concatenate([part.indices for part in context.real]))
    return Chosen(train, others).cut(TRAIN_IMAGES)


def compare(distances: np.ndarray, parts: int, without: set[int]) -> tuple[float, float, float]:
    """How many of the images are nearer to training images than to as many held-out ones; how many are at less than
    half that distance to any training image; and the median of the latter.

    Args:
        distances: (blocks, n): to the parts of the training images, of the held-out ones, to all others.
        without: parts of both that are left out.
    """
    kept = [part for part in range(parts) if part not in without]
    some_train = distances[kept].min(axis=0)
    held_out = distances[[parts + part for part in kept]].min(axis=0)
    train = np.minimum(distances[:parts].min(axis=0), distances[2 * parts :].min(axis=0, initial=np.inf))
    nearer = np.mean(some_train < held_out) + np.mean(some_train == held_out) / 2
    return float(nearer), float(np.mean(train < REPEATED * held_out)), float(np.median(train))


def triples(context: Context) -> list[tuple[Any, Any, Any]]:
    return list(zip(context.samples, context.reference, context.real, strict=True))


def beside(
    name: str, ours: Sequence[float], real: Sequence[float], detail: Mapping[str, float | str] | None = None
) -> Figure:
    """A figure taken on each part, of samples and, unless there are none, of real images."""
    if not len(real):
        return Figure(name, bounded(name, of_parts(ours)), detail=detail)
    above = [a - b for a, b in zip(ours, real, strict=True)]
    floor = bounded(name, of_parts(real))
    return Figure(name, bounded(name, of_parts(ours)), floor, of_parts(above), detail)


def bounded(name: str, estimate: Estimate) -> Estimate:
    """No interval of a share goes beyond 0 and 1."""
    if not KINDS[name].share or estimate.low is None or estimate.high is None:
        return estimate
    return replace(estimate, low=max(0.0, estimate.low), high=min(1.0, estimate.high))
