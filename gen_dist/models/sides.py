"""How image sides shrink from level to level. Pure."""

SMALLEST, LARGEST = 4, 7  # what halving ends in: 4 to 7 pixels


def halve(side: int) -> int:
    """A stride of 2 with padding "same": an odd side keeps its middle."""
    return -(-side // 2)


def pyramid(size: int) -> list[int]:
    """Sides from `size` (at least 4) down to 4, 5, 6 or 7, each half the one before: [64, 32, 16, 8, 4]."""
    sides = [size]
    while sides[-1] > LARGEST:
        sides.append(halve(sides[-1]))
    return sides
