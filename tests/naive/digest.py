"""The digest of `kernels.digest`, with Python's integers."""

MASK = 2**64 - 1


def digest(data: bytes) -> bytes:
    first, second = 0x9E3779B97F4A7C15, len(data)
    whole = len(data) - len(data) % 8
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, whole, 8)]
    for word in words + [int.from_bytes(data[whole:], "big")] * 4:
        first = (first + word) * 0xBF58476D1CE4E5B9 & MASK
        first ^= first >> 29
        turned = second ^ word
        second = (turned << 27 | turned >> 37) & MASK
        second = (second * 0x94D049BB133111EB + 0x52DCE729) & MASK
        second ^= second >> 31
    return first.to_bytes(8, "little") + second.to_bytes(8, "little")
