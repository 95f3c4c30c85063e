"""What the groups of scores share: the model, the images and the crew's handles of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gen_dist.evaluating.crew import Job
from gen_dist.evaluating.figures import Figure
from gen_dist.evaluating.material import Chosen, Material
from gen_dist.results.trained import Trained
from gen_dist.scores.inception import Inception

Need = Literal["samples", "classifier", "inception", "sigma"]

CLASSIFIER_IMAGES = 20_000  # that it is trained on, at most


@dataclass(frozen=True)
class Context:
    """Handles are what `Crew.share` gave: of the model, and of the parts of samples and images, in order.

    `inception`: that the user has brought. `looks`: handles of its features, of the parts of samples, reference, real.
    """

    trained: Trained
    material: Material
    seed: int
    model: Any = None
    samples: Sequence[Any] = ()
    reference: Sequence[Any] = ()
    real: Sequence[Any] = ()
    lenet: Any = None
    inception: Inception | None = None
    looks: Sequence[Sequence[Any]] = ()
    sigma: float | None = None

    @property
    def has_classes(self) -> bool:
        """Whether a classifier can be trained on images that are compared with none."""
        labels = self.classified.labels
        return labels is not None and len(set(labels.tolist())) > 1

    @property
    def classified(self) -> Chosen:
        return self.material.others.first(CLASSIFIER_IMAGES)


class Group(Protocol):
    """Scores that are computed together: what has to be computed, and what is told of it."""

    needs: frozenset[Need]

    def refusal(self, context: Context) -> str | None:
        """Why there are no such scores of this run; None if there are."""
        ...

    def jobs(self, context: Context) -> list[Job]: ...

    def figures(self, found: Sequence[Any], context: Context) -> list[Figure]:
        """Of what the jobs returned, in their order."""
        ...
