"""Hostile files, made from good ones at random."""

import random


def mutated(data: bytes, draw: random.Random) -> bytes:
    """A file with some bytes changed, inserted, doubled or cut off."""
    held = bytearray(data)
    for _ in range(draw.randint(1, 6)):
        at, what = draw.randrange(len(held) + 1), draw.random()
        if what < 0.6:
            held[at : at + 1] = bytes([draw.choice((0, 1, 255, draw.randrange(256)))])
        elif what < 0.75:
            held[at : at + draw.randint(0, 40)] = bytes([draw.choice((0, 255))]) * draw.randint(0, 40)
        elif what < 0.9:
            other = draw.randrange(len(held) + 1)
            held[at:at] = held[other : other + draw.randint(0, 600)]
        else:
            del held[at:]
        if not held:
            break
    return bytes(held)
