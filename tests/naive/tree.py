"""The sum of a binary tree that splits at the largest power of two below n, said as plainly as possible."""

import numpy as np


def tree_sum(leaves: list[np.ndarray]) -> np.ndarray:
    n = len(leaves)
    if n == 1:
        return leaves[0]
    split = 1
    while 2 * split < n:
        split *= 2
    return tree_sum(leaves[:split]) + tree_sum(leaves[split:])


def sum_vectors(vectors: list[np.ndarray], sums: np.ndarray) -> np.ndarray:
    sum_of = list(vectors)
    for into, added in sums:
        sum_of[into] = sum_of[into] + sum_of[added]
    return sum_of[0]
