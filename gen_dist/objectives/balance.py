"""The balance rule: whichever player is behind takes extra steps (github.com/jhayes14/GAN), up to a limit. Pure."""

from collections.abc import Sequence

from gen_dist.objectives.base import Committed

PLAYERS = DISCRIMINATOR, GENERATOR = (
    "discriminator",
    "generator",
)  # names of modules, and of the phases that train one
FIRST_PHASES = 2  # one of each player; what follows is extra


def balance(discriminator: float, generator: float, margin: float, extra: Sequence[str], most: int) -> str | None:
    """Who takes the next extra step, or None when the step is done.

    Args:
        discriminator, generator: the players' losses when they were last computed, both means per image.
        margin: how far apart they may be.
        extra: who took the extra steps so far.
        most: how many there may be.
    """
    if len(extra) >= most or abs(discriminator - generator) <= margin:
        return None
    behind = DISCRIMINATOR if discriminator > generator else GENERATOR
    overtaken = extra and extra[-1] != behind
    return None if overtaken else behind


def next_extra(committed: Sequence[Committed], margin: float, most: int) -> str | None:
    """`balance` of a step's finished phases. Of D's loss, half: it is the sum over a real and a generated image."""
    latest = {name: value for phase in committed for name, value in phase.losses.items()}
    extra = [phase.phase for phase in committed[FIRST_PHASES:]]
    return balance(latest["discriminator_loss"] / 2, latest["generator_loss"], margin, extra, most)


def reported(player: str, number: int) -> dict[str, float]:
    """What phase `number` of a step says of extra steps, for their counts to be the means over the step's phases.

    The first phases say 0 and the j-th extra one 2j + 1; over n + 2 phases that is n (n + 2), and the mean is n. All
    extra phases of a step are one player's, since the rule ends where the other one falls behind.
    """
    extra = number - FIRST_PHASES + 1
    return {f"extra_{name}_steps": 2.0 * extra + 1 if extra > 0 and name == player else 0.0 for name in PLAYERS}
