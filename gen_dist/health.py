"""Collapse and imbalance: which figures are a sign of which trouble, and when that is worth a warning. Pure decisions.

The figures are those of the rank that reports. They end in messages and never decide anything about the training.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from gen_dist.config import RunConfig
from gen_dist.config.objective import DiscriminationSettings, GANObjectiveSettings
from gen_dist.config.run import Objective
from gen_dist.events import HealthWarning
from gen_dist.remedies import Trouble, remedies

LEAST_PATIENCE = 250  # steps
LOSSES_KEPT = 500  # steps
JUDGED_LOSSES = ("discriminator_loss", "real_score", "fake_score")

WINNING = 0.95  # how far the discriminator is from guessing (0) to being always right (1)
FLOOR = 0.3  # of the real images' distances
FEW_UNITS, FEW_SHARE = 3, 0.1  # of latent values in use, whichever is less
GROWTH = 1.1  # what grows by so much in `patience` steps is on its way up, however low it is

Figures = Mapping[str, float]


@dataclass
class Spell:
    """How long a trouble has been seen without a break that counts."""

    since: int
    last: int
    said: bool = False


class Health:
    """Warns once when a trouble begins, and again only after it had ended. Knows nothing from before a resume.

    Nothing is judged in the first `patience` steps. A trouble counts when it is seen over as many, in every round, and
    it has ended when it was not seen for twice as many.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.patience = max(config.train.sample_every, LEAST_PATIENCE)
        self.losses: deque[Figures] = deque(maxlen=LOSSES_KEPT)
        self.rounds: deque[tuple[int, Figures]] = deque()
        self.spells: dict[Trouble, Spell] = {}

    def note(self, losses: Figures) -> None:
        """Take in the losses of one step."""
        self.losses.append({name: losses[name] for name in JUDGED_LOSSES if name in losses})

    def judge(self, step: int, figures: Figures) -> list[HealthWarning]:
        """What is to be said after `step` finished steps, when `figures` were measured."""
        losses = medians(self.losses)
        self.losses.clear()
        self.rounds.append((step, figures))
        while len(self.rounds) > 1 and self.rounds[1][0] <= step - self.patience:
            self.rounds.popleft()
        first, before = self.rounds[0]
        if step <= self.patience:
            return []
        seen = signs(self.config, losses, figures, before if first <= step - self.patience else {})
        return [self.warning(trouble, seen[trouble], step) for trouble in self.begun(step, seen)]

    def begun(self, step: int, seen: Mapping[Trouble, str]) -> list[Trouble]:
        """The troubles that have now lasted long enough to be said for the first time."""
        for trouble, spell in list(self.spells.items()):
            if trouble not in seen and (not spell.said or step - spell.last >= 2 * self.patience):
                del self.spells[trouble]
        begun: list[Trouble] = []
        for trouble in seen:
            spell = self.spells.setdefault(trouble, Spell(step, step))
            spell.last = step
            if not spell.said and step - spell.since >= self.patience:
                spell.said = True
                begun.append(trouble)
        return begun

    def warning(self, trouble: Trouble, figure: str, step: int) -> HealthWarning:
        text = f"{trouble} since step {self.spells[trouble].since}: {figure}"
        *some, last = remedies(self.config, trouble) or [""]
        advice = f"{', '.join(some)} or {last}" if some else last
        return HealthWarning(step, trouble, f"{text}; try {advice}" if advice else text)


def medians(losses: deque[Figures]) -> dict[str, float]:
    """Of each name: the median outlives single steps in which the loss is another one."""
    found = {name: [some[name] for some in losses if name in some] for name in JUDGED_LOSSES}
    return {name: median(values) for name, values in found.items() if values}


def signs(config: RunConfig, losses: Figures, figures: Figures, before: Figures) -> dict[Trouble, str]:
    """The troubles that show, each with the figure that shows it, in words.

    Args:
        losses: medians over the last steps, named as in the record.
        figures: what `VitalSigns.measure` found now.
        before: what it found at least `patience` steps ago; where it is empty, only losses are judged.
    """
    found: dict[Trouble, str | None] = {
        "discriminator winning": winning(config.objective, losses),
        "generator repeating itself": repeating(config.objective, figures, before),
        "posterior collapse": collapsed(config.model.latent, figures, before),
    }
    return {trouble: figure for trouble, figure in found.items() if figure}


def winning(objective: Objective, losses: Figures) -> str | None:
    """Judged by D's probabilities where it has any, else by its loss, if 0 is the least that it can be.

    A critic (wgan_gp) is meant to be as good as it can.
    """
    if not isinstance(objective, DiscriminationSettings):
        return None
    loss = objective.loss if isinstance(objective, GANObjectiveSettings) else "bce"
    if loss == "bce" and {"real_score", "fake_score"} <= losses.keys():
        real, fake = losses["real_score"], losses["fake_score"]
        if (real - fake) / objective.real_label >= WINNING:
            return f"it gives real images {real:.2f} and generated ones {fake:.2f}"
    elif loss in ("hinge", "least_squares") and "discriminator_loss" in losses:
        # What the best constant answer costs: 0 lies 1 inside both margins, half the label is half of it off twice.
        guessing = 2.0 if loss == "hinge" else objective.real_label**2 / 4
        if losses["discriminator_loss"] <= (1 - WINNING) * guessing:
            return f"its loss is {losses['discriminator_loss']:.2g}, where guessing costs {guessing:.2g}"
    return None


def repeating(objective: Objective, figures: Figures, before: Figures) -> str | None:
    """Samples that are nearly equal, all of them or each to another. Those of a VAE are left to `collapsed`."""
    if not isinstance(objective, DiscriminationSettings):
        return None
    if (value := low(figures, before, "sample_distance", FLOOR)) is not None:
        return f"two samples differ {value:.2f} times as much as two real images"
    if (value := low(figures, before, "nearest_sample", FLOOR)) is not None:
        return f"the most alike samples differ {value:.2f} times as much as the most alike real images"
    return None


def collapsed(latent: int, figures: Figures, before: Figures) -> str | None:
    active = low(figures, before, "active_units", max(min(FEW_UNITS, FEW_SHARE * latent), 1))
    return None if active is None else f"{active:.0f} of {latent} latent values vary from image to image"


def low(figures: Figures, before: Figures, name: str, floor: float) -> float | None:
    """The figure, if it is under `floor` and not about to leave it."""
    if name not in figures or name not in before:
        return None
    value = figures[name]
    growing = value > GROWTH * before[name]
    return value if value < floor and not growing else None
