"""Near duplicates by comparing everything with everything."""

MOST_BITS = 6


def alike(a, b):
    """Thumbnails of 16 greys and 8 colours."""
    a, b = [int(x) for x in a], [int(x) for x in b]
    contrast = min(max(t[:16]) - min(t[:16]) for t in (a, b))
    differences = [x - y for x, y in zip(a, b, strict=True)]
    brighter = sum(differences[:16]) / 16
    shade = max(2, min(6, contrast // 10)) if contrast else 0
    return (
        abs(brighter) <= min(16, contrast)
        and all(abs(difference - brighter) <= shade for difference in differences[:16])
        and all(abs(difference) <= min(8, contrast) for difference in differences[16:])
    )


def find(seen, hash_, thumbnail):
    """`seen`: (hash, thumbnail), ... Index of the most similar one, of several the first; None for none."""
    near = [
        ((other ^ hash_).bit_count(), index)
        for index, (other, its) in enumerate(seen)
        if (other ^ hash_).bit_count() <= MOST_BITS and alike(its, thumbnail)
    ]
    return min(near)[1] if near else None
