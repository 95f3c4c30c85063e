"""Which key to change against collapse and imbalance. Pure decisions."""

from collections.abc import Iterator
from typing import Any, Literal

from gen_dist.config import RunConfig
from gen_dist.errors import UserError
from gen_dist.presets import apply_override, parse_config

Trouble = Literal["discriminator winning", "generator repeating itself", "posterior collapse"]

MOST = 3


def remedies(config: RunConfig, trouble: Trouble) -> list[str]:
    """Up to three changes, as `key=value`, the likeliest first: each accepted by this configuration, none in it yet."""
    candidates = {
        "discriminator winning": against_winning,
        "generator repeating itself": against_repeating,
        "posterior collapse": against_collapse,
    }[trouble](config)
    return [change for change in candidates if accepted(config, change)][:MOST]


def accepted(config: RunConfig, change: str) -> bool:
    """Whether the configuration is still valid with `change`, and another one."""
    tree = config.model_dump()
    apply_override(tree, change)
    try:
        return parse_config(tree) != config
    except UserError:
        return False


def against_winning(config: RunConfig) -> Iterator[str]:
    rates, objective = config.optimizer, config.objective
    rate, own = rates.learning_rate, rates.discriminator_learning_rate
    if own is not None and own > rate:
        yield f"optimizer.discriminator_learning_rate={rate:g}"
    if (has(objective, "discriminator_steps") or 1) > 1:
        yield "objective.discriminator_steps=1"
    if not has(objective, "diffaugment"):
        yield "objective.diffaugment=[color,translation,cutout]"
    if has(objective, "real_label") == 1:
        yield "objective.real_label=0.9"
    if own is None or own == rate:
        yield f"optimizer.discriminator_learning_rate={rate / 2:g}"
    if not has(objective, "r1"):
        yield "objective.r1=10"
    if not has(objective, "instance_noise"):
        yield "objective.instance_noise=0.1"


def against_repeating(config: RunConfig) -> Iterator[str]:
    rates, objective = config.optimizer, config.objective
    own = rates.discriminator_learning_rate
    if has(config.model, "discriminator_norm") != "spectral":
        yield "model.discriminator_norm=spectral"
    if not has(objective, "diffaugment"):
        yield "objective.diffaugment=[color,translation,cutout]"
    if not has(objective, "r1"):
        yield "objective.r1=10"
    if has(objective, "loss") == "bce":
        yield "objective.loss=hinge"
    if own is None or own <= rates.learning_rate:  # Heusel et al. 2017: D is the faster one
        yield f"optimizer.discriminator_learning_rate={2 * rates.learning_rate:g}"


def against_collapse(config: RunConfig) -> Iterator[str]:
    objective = config.objective
    beta, sigma = has(objective, "beta"), has(objective, "sigma")
    if beta > 1:
        yield "objective.beta=1"
    if has(objective, "likelihood") in ("gaussian", "bernoulli"):
        yield "objective.likelihood=sigma"  # refused beside objective.sigma
    if sigma is not None and sigma > 0.1:
        yield "objective.sigma=0.1"
    if not has(objective, "kl_warmup_steps"):
        yield f"objective.kl_warmup_steps={max(1, config.train.steps // 5)}"
    if not has(objective, "free_bits"):
        yield "objective.free_bits=0.1"
    if 0 < beta <= 1:
        yield f"objective.beta={beta / 4:g}"


def has(settings: Any, name: str) -> Any:
    """The setting, or None where this kind has none of that name."""
    return getattr(settings, name, None)
