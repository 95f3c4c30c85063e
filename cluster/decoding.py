"""Contents decoded by the machines of a Ray cluster, which need no copy of the source: they are sent what is read here.

Plain tasks, because decoding has no state: Ray runs those of a machine that dies on the others.
"""

import functools
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from gen_dist.cluster.session import joined_cluster, list_nodes
from gen_dist.errors import RunError, UserError
from gen_dist.kernels.warm_up import warm_up
from gen_dist.preparing.decoding import Decoder
from gen_dist.preparing.outcome import Outcome
from gen_dist.preparing.recipe import Recipe
from gen_dist.source_hash import source_hash
from gen_dist.sources.source import Content


@contextmanager
def cluster_decoders(address: str) -> Iterator[tuple[Callable[[Recipe, Collection[str]], "RemoteDecoder"], int]]:
    """What makes decoders on the cluster at `address`, and how many it has CPUs for.

    Raises UserError where no cluster answers.
    """
    with joined_cluster(address):
        yield RemoteDecoder, max(1, sum(node.cpus for node in list_nodes()))


class RemoteDecoder:
    """Decodes as `preparing.decoding.Decoder` does, on whatever machine of the connected cluster has a CPU to spare."""

    def __init__(self, recipe: Recipe, formats: Collection[str]) -> None:
        import ray

        self._arguments = recipe, tuple(formats)
        self._task: Any = ray.remote(decode_there).options(num_cpus=1, max_retries=-1)

    def decode(self, contents: Sequence[Content | str]) -> list[Outcome]:
        """Raises UserError for a machine with another version of gen-dist, RunError where the cluster fails."""
        import ray

        try:
            outcomes: list[Outcome] = ray.get(self._task.remote(*self._arguments, contents, source_hash_once()))
        except UserError as error:
            raise UserError(str(error.__cause__ or error)) from None
        except ray.exceptions.RayError as error:
            raise RunError(f"preparing: the Ray cluster failed: {' '.join(str(error).split())[:300]}") from error
        return outcomes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Its processes belong to Ray, and end with the connection."""


def decode_there(
    recipe: Recipe, formats: tuple[str, ...], contents: Sequence[Content | str], source: str
) -> list[Outcome]:
    """Runs in one of Ray's processes, which keeps its decoder."""
    if source != source_hash_once():
        raise UserError(
            f"preparing: {socket.gethostname()} has another version of gen-dist than this machine; "
            "install the same one on every machine"
        )
    return _decoder(recipe, formats).decode(contents)


@functools.cache
def source_hash_once() -> str:
    return source_hash()


@functools.lru_cache(maxsize=1)
def _decoder(recipe: Recipe, formats: tuple[str, ...]) -> Decoder:
    if formats or recipe.keep_jpeg:
        warm_up("decoding")
    return Decoder(recipe, formats)
