"""All scores of a run: samples, a classifier and a sigma first, then every group's jobs together."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch

from gen_dist.config.objective import VAEObjectiveSettings
from gen_dist.errors import UserError
from gen_dist.evaluating.context import Context, Group, Need
from gen_dist.evaluating.crew import Crew, Job
from gen_dist.evaluating.figures import Figure
from gen_dist.evaluating.jobs import draw_samples, summed_squared_error, train_classifier
from gen_dist.evaluating.material import Chosen, Material
from gen_dist.evaluating.of_encoders import AT_ONCE, Likelihood, Reconstruction
from gen_dist.evaluating.of_inception import OfInception
from gen_dist.evaluating.of_samples import Diversity, Features, Memorisation, Wasserstein
from gen_dist.results.trained import Trained
from gen_dist.scores.elbo import LEAST_SIGMA
from gen_dist.scores.inception import Inception, inception_features

SIGMA_IMAGES = 1000  # that the likelihood's sigma is measured on, at most: not those that are scored

Progress = Callable[[int, int], None]  # of jobs, and how many are known by now


@dataclass(frozen=True)
class Evaluation:
    """`left_out`: group to the reason that there are no such scores."""

    figures: list[Figure]
    left_out: Mapping[str, str]


def groups() -> dict[str, Group]:
    """By the names that `--scores` knows."""
    return {
        "wasserstein": Wasserstein(), "features": Features(), "inception": OfInception(), "diversity": Diversity(),
        "memorisation": Memorisation(), "likelihood": Likelihood(), "reconstruction": Reconstruction(),
    }  # fmt: skip


def evaluate(
    trained: Trained,
    material: Material,
    crew: Crew,
    wanted: Sequence[str],
    seed: int,
    progress: Progress,
    inception: Inception | None = None,
) -> Evaluation:
    """The figures of the groups in `wanted`. They depend on the run, the images and the seed, not on the crew.

    `inception`: for the scores that look at images through it.

    Raises:
        UserError: the model has diverged.
    """
    check_finite(trained)
    context = Context(trained, material, seed, reference=material.in_parts(material.reference),
                      real=material.in_parts(material.real), inception=inception)  # fmt: skip
    known = groups()
    refused = {name: reason for name in wanted if (reason := known[name].refusal(context)) is not None}
    chosen = {name: known[name] for name in wanted if name not in refused}
    counter = Counter(progress)
    context = prepare(context, list(chosen.values()), crew, counter)
    jobs = {name: group.jobs(context) for name, group in chosen.items()}
    found = iter(counter.run(crew, [job for some in jobs.values() for job in some]))
    figures = [
        figure for name, group in chosen.items()
        for figure in group.figures(list(islice(found, len(jobs[name]))), context)
    ]  # fmt: skip
    return Evaluation(figures, refused)


class Counter:
    def __init__(self, progress: Progress) -> None:
        self._progress, self._done, self._total = progress, 0, 0

    def run(self, crew: Crew, jobs: Sequence[Job]) -> list[Any]:
        self._total += len(jobs)
        return crew.run(jobs, self._one_more)

    def _one_more(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)


def prepare(context: Context, chosen: Sequence[Group], crew: Crew, counter: Counter) -> Context:
    """With what the groups need: handles of the model, samples, a classifier, Inception's features; the sigma."""
    needs = frozenset[Need]().union(*(group.needs for group in chosen))
    context = replace(context, model=crew.share(context.trained))
    jobs = {  # the longest job first
        "classifier": classifying(context), "samples": drawing(context), "sigma": measuring(context)
    }  # fmt: skip
    wanted = {need: some for need, some in jobs.items() if need in needs}
    answers = iter(counter.run(crew, [job for some in wanted.values() for job in some]))
    found = {need: list(islice(answers, len(some))) for need, some in wanted.items()}
    classifiers, errors = found.get("classifier"), found.get("sigma")
    context = replace(
        context, samples=[crew.share(images) for images in found.get("samples", ())],
        lenet=crew.share(classifiers[0]) if classifiers else None,
        sigma=sigma_of(context, sum(errors)) if errors else None,
    )  # fmt: skip
    return replace(context, looks=look(context, crew, counter)) if "inception" in needs else context


def classifying(context: Context) -> list[Job]:
    few = context.classified
    return [Job(train_classifier, (few, few.labels, context.seed))] if context.has_classes else []


def drawing(context: Context) -> list[Job]:
    parts, size = context.material.parts, context.material.part_size
    return [Job(draw_samples, (context.model, context.seed, part * size, size)) for part in range(parts)]


def measuring(context: Context) -> list[Job]:
    if not needs_sigma(context.trained):
        return []
    images = measured(context)
    return [
        Job(summed_squared_error, (context.model, some, number * AT_ONCE, context.seed))
        for number, some in enumerate(images.cut(AT_ONCE))
    ]


def measured(context: Context) -> Chosen:
    return context.material.real.first(SIGMA_IMAGES)


def sigma_of(context: Context, squared_error: float) -> float:
    """Of the Gaussian under which images that were made with this error are the most likely."""
    pixels = len(measured(context)) * context.trained.size**2 * context.trained.channels
    return max(LEAST_SIGMA, math.sqrt(squared_error / pixels))


def look(context: Context, crew: Crew, counter: Counter) -> list[list[Any]]:
    """Handles of Inception's features of each part of samples, reference and real images."""
    inception = crew.share(context.inception)
    sets = (context.samples, context.reference, context.real)
    found = iter(counter.run(crew, [Job(inception_features, (inception, some)) for parts in sets for some in parts]))
    return [[crew.share(next(found)) for _ in parts] for parts in sets]


def needs_sigma(trained: Trained) -> bool:
    """Whether pixels are scored by a Gaussian: those trained with any sigma by the one that is best for them."""
    objective = trained.config.objective
    return isinstance(objective, VAEObjectiveSettings) and objective.likelihood != "bernoulli"


def check_finite(trained: Trained) -> None:
    for name, module in trained.modules.items():
        if not all(bool(torch.isfinite(tensor).all()) for tensor in module.state_dict().values()):
            raise UserError(f"run '{trained.path}': weights of its {name} are not finite; the model has diverged")
