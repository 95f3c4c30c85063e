"""What a refusal proposes, thought through: what its setting needs, to be accepted, is proposed too. Pure."""

import re
from collections.abc import Callable, Sequence

MOST = 5  # settings in one proposal

_SETTING = re.compile(r"(?:use|set|or) ((?:\w+\.)+\w+=(?:\[[^\]]*\]|[^\s,;]+))")


def proposed(refusal: str) -> str | None:
    """The first "key=value" that a refusal proposes: "…; use objective.loss=bce, or …"."""
    found = _SETTING.search(refusal)
    return found[1] if found else None


def completed(refusal: str, refusal_of: Callable[[Sequence[str]], str | None]) -> str:
    """`refusal`, and what has to be set beside its first proposal so that nothing is refused.

    Args:
        refusal_of: of the configuration with such overrides; None if it is accepted.
    """
    settings: list[str] = []
    following: str | None = refusal
    while following is not None:
        setting = proposed(following)
        if setting is None or setting in settings or len(settings) == MOST:
            return refusal  # it leads nowhere that could be told in a line
        settings.append(setting)
        following = refusal_of(settings)
    first, *others = settings
    return f"{refusal}; {first} needs {' '.join(others)} too" if others else refusal
