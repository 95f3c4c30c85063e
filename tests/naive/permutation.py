"""The keyed permutation, one index at a time, in Python's own integers."""

from tests.naive.philox import philox


def permute(index, n, key):
    half = next(h for h in range(1, 32) if 4**h >= n)
    round_keys = [word for block in range(3) for word in philox((block, 0, 0, 0), key)]
    while True:
        left, right = index >> half, index % 2**half
        for round_key in round_keys:
            left, right = right, left ^ murmur(right ^ round_key) % 2**half
        index = left << half | right
        if index < n:
            return index


def murmur(x):
    x = (x ^ x >> 16) * 0x85EBCA6B % 2**32
    x = (x ^ x >> 13) * 0xC2B2AE35 % 2**32
    return x ^ x >> 16
