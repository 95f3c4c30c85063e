"""How many latent values an encoder uses (Burda, Grosse, Salakhutdinov 2016).

Shapes: N images, Z latent values.
"""

import numpy as np

LEAST_VARIANCE = 0.01  # the paper's


def active_units(mean_NZ: np.ndarray) -> int:
    """Latent values whose posterior mean varies over images by more than a variance of 0.01.

    Args:
        mean_NZ: posterior means, finite numbers, of at least 2 images.

    Raises ValueError for anything else.
    """
    if mean_NZ.ndim != 2 or len(mean_NZ) < 2 or not np.isfinite(mean_NZ).all():
        raise ValueError(f"means {mean_NZ.shape}: give finite numbers (N, Z) of at least 2 images")
    return int((np.var(mean_NZ, axis=0, dtype=np.float64) > LEAST_VARIANCE).sum())
