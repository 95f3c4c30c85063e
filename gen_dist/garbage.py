"""How often Python looks for garbage.

Imports make hundreds of thousands of objects, which stay: looking through them again and again is a tenth of a start.
"""

import gc

USUAL, SELDOM = gc.get_threshold(), (50_000, 20, 100)  # new objects, and how many times, see `gc.set_threshold`


def collect_seldom() -> None:
    gc.set_threshold(*SELDOM)


def collect_as_usual() -> None:
    """Before training, where tensors may be left in cycles."""
    gc.set_threshold(*USUAL)
