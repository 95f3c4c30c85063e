"""A source without some of its classes, under the name and stamp of what it came from."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from gen_dist.sources.source import Item, Source


class Selected:
    """The items of `source` that are of no class in `leave_out`. `close` closes it and calls `closing`."""

    class_names = None
    consecutive = False

    def __init__(
        self,
        source: Source,
        description: str,
        stamp: Callable[[], str],
        leave_out: Collection[str],
        closing: Callable[[], None],
    ) -> None:
        self.description, self.stamp = description, stamp
        self._source, self._leave_out, self._closing = source, leave_out, closing

    @property
    def total(self) -> int:
        return sum(self.blocks().values())

    @property
    def total_bytes(self) -> int:
        return self._source.total_bytes

    @property
    def rejected(self) -> Sequence[tuple[str, str]]:
        return self._source.rejected

    def items(self) -> Iterator[Item]:
        return (item for item in self._source.items() if item.class_name not in self._leave_out)

    def blocks(self) -> Mapping[str, int]:
        blocks = self._source.blocks().items()
        return {block: count for block, count in blocks if block.split("/", 1)[0] not in self._leave_out}

    def close(self) -> None:
        self._source.close()
        self._closing()
