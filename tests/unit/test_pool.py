"""How much is under way at once: bounded by what items hold and by what may become of them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import pytest

from gen_dist.preparing import pool
from gen_dist.preparing.outcome import Decoded, Outcome
from gen_dist.preparing.pool import CHUNK_BYTES, CHUNK_ITEMS, Task, pieces
from gen_dist.sources.source import Content, Item


class Blank(AbstractContextManager):
    def __exit__(self, *exception: object) -> None:
        pass

    def decode(self, contents: Sequence[Content | str]) -> list[Outcome]:
        return [Decoded(np.zeros((1, 8, 8, 3), np.uint8), 8, 8) for _ in contents]


@pytest.mark.parametrize(
    ("content", "outcome", "items"),
    [
        (1000, 0, CHUNK_ITEMS),
        (CHUNK_BYTES // 4, 0, 4),
        (0, CHUNK_BYTES // 4, 4),
        (CHUNK_BYTES // 8, CHUNK_BYTES // 8, 4),
        (0, 10 * CHUNK_BYTES, 1),
    ],
)
def test_chunks_are_bounded_by_contents_and_outcomes(content: int, outcome: int, items: int) -> None:
    tasks = [Task(Item(str(number), "", lambda: b"x", content_bytes=content)) for number in range(100)]
    found = list(pieces(tasks, Blank, 2, outcome))
    assert {len(some) for some in found[:-1]} == {items}
    assert [piece.item.name for some in found for piece in some] == [str(number) for number in range(100)]


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, KeyboardInterrupt])
def test_an_error_in_a_thread_ends_it(error: type[BaseException]) -> None:
    def load() -> bytes:
        raise error("in a thread")

    before = set(pool.threading.enumerate())
    tasks = (Task(Item(str(number), "", load if number == 500 else lambda: b"x")) for number in range(10**9))
    with pytest.raises(error, match="in a thread"):
        for _ in pieces(tasks, Blank, 3):
            pass
    assert not set(pool.threading.enumerate()) - before
