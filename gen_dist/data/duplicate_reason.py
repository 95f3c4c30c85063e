"""How the index of a pack says that an image was left out because it is like another."""

import re
from typing import Literal

Kind = Literal["exact", "near"]
_REASON = re.compile(r"(?s)(exact|near) duplicate of (.*)")


def duplicate_reason(kind: Kind, name: str) -> str:
    """The reason for leaving out an image that is like that of the item `name`."""
    return f"{kind} duplicate of {name}"


def duplicate_of(reason: str) -> tuple[Kind, str] | None:
    """(kind, name) where a reason is such a one."""
    found = _REASON.fullmatch(reason)
    return ("exact" if found[1] == "exact" else "near", found[2]) if found else None
