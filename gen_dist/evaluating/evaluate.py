"""All scores of a run: samples, a classifier and a sigma first, then every group's jobs together."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch

from gen_dist.config.objective import VAEObjectiveSettings
from gen_dist.errors import UserError
from gen_dist.evaluating.context import Context, Group
from gen_dist.evaluating.crew import Crew, Job
from gen_dist.evaluating.figures import Figure
from gen_dist.evaluating.jobs import draw_samples, summed_squared_error, train_classifier
from gen_dist.evaluating.material import Material
from gen_dist.evaluating.of_encoders import AT_ONCE, Likelihood, Reconstruction
from gen_dist.evaluating.of_samples import Diversity, Features, Memorisation, Wasserstein
from gen_dist.results.trained import Trained
from gen_dist.scores.elbo import LEAST_SIGMA

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
        "wasserstein": Wasserstein(), "features": Features(), "diversity": Diversity(),
        "memorisation": Memorisation(), "likelihood": Likelihood(), "reconstruction": Reconstruction(),
    }  # fmt: skip


def evaluate(
    trained: Trained, material: Material, crew: Crew, wanted: Sequence[str], seed: int, progress: Progress
) -> Evaluation:
    """The figures of the groups in `wanted`. They depend on the run, the images and the seed, not on the crew.

    Raises:
        UserError: the model has diverged.
    """
    check_finite(trained)
    context = Context(trained, material, seed, reference=material.in_parts(material.reference),
                      real=material.in_parts(material.real))  # fmt: skip
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
    """With what the groups need: handles of the model, samples and a classifier, and the sigma."""
    trained, material, seed = context.trained, context.material, context.seed
    model = crew.share(trained)
    classifies = context.has_classes and any(group.needs_classifier for group in chosen)
    few = context.classified
    training = [Job(train_classifier, (few, few.labels, seed))] * classifies
    size = material.part_size
    drawing = [Job(draw_samples, (model, seed, part * size, size)) for part in range(material.parts)]
    drawing *= any(group.needs_samples for group in chosen)
    measured = material.real.first(SIGMA_IMAGES)
    measuring = [
        Job(summed_squared_error, (model, some, number * AT_ONCE, seed))
        for number, some in enumerate(measured.cut(AT_ONCE))
    ]
    measuring *= needs_sigma(trained) and any(isinstance(group, Likelihood) for group in chosen)
    found = iter(counter.run(crew, [*training, *drawing, *measuring]))  # the longest job first
    lenet = crew.share(next(found)) if training else None
    samples = [crew.share(images) for images in islice(found, len(drawing))]
    error = sum(found)
    pixels = len(measured) * trained.size**2 * trained.channels
    sigma = max(LEAST_SIGMA, math.sqrt(error / pixels)) if measuring else None
    return replace(context, model=model, samples=samples, lenet=lenet, sigma=sigma)


def needs_sigma(trained: Trained) -> bool:
    """Whether pixels are scored by a Gaussian: those trained with any sigma by the one that is best for them."""
    objective = trained.config.objective
    return isinstance(objective, VAEObjectiveSettings) and objective.likelihood != "bernoulli"


def check_finite(trained: Trained) -> None:
    for name, module in trained.modules.items():
        if not all(bool(torch.isfinite(tensor).all()) for tensor in module.state_dict().values()):
            raise UserError(f"run '{trained.path}': weights of its {name} are not finite; the model has diverged")
