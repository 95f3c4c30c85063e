"""The `ddp` reducer: torch DistributedDataParallel around one module per phase."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.graph import register_multi_grad_hook
from torch.nn.parallel import DistributedDataParallel

from gen_dist.engine.ownership import Ownership
from gen_dist.engine.program import PhaseProgram
from gen_dist.engine.reducer import Work


class DDPReducer:
    """Unequal contiguous ranges are weighted correctly: DDP averages over W ranks, the loss is scaled by W / batch."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self.group, self.world_size = group, group.size()
        self.wrapped: dict[str, DistributedDataParallel] = {}
        self.receive = None  # DDP waits for what comes into `grad`

    def accumulate(
        self, program: PhaseProgram, work: Work, ownership: Ownership, extra: Tensor, batch_size: int
    ) -> Tensor:
        wrapped = self.wrap(program)
        scale = self.world_size / batch_size
        numbers: list[Tensor] = []
        with wrapped.no_sync():  # forward too: DDP decides in forward whether this backward will reduce
            for microbatch, draws in work[:-1]:
                loss, vector = wrapped(microbatch, draws)
                program.mark("backward")
                (loss * scale).backward()
                numbers.append(vector)
        loss, vector = wrapped(*work[-1])
        program.reduces()  # while this backward goes on
        program.mark("backward")
        with marking_the_end(program):
            (loss * scale).backward()
        numbers.append(vector)
        return self.sum(torch.cat((torch.stack(numbers).sum(0), extra)), program.check)

    def wrap(self, program: PhaseProgram) -> DistributedDataParallel:
        name = program.phase.name
        if name not in self.wrapped:
            self.wrapped[name] = DistributedDataParallel(
                program,
                process_group=self.group,
                init_sync=False,
                gradient_as_bucket_view=True,
                **without_buffer_sync(),
            )
        return self.wrapped[name]

    def sum(self, numbers: Tensor, check: Callable[[], None]) -> Tensor:
        dist.all_reduce(numbers, group=self.group)
        return numbers

    def reset(self) -> None:
        self.wrapped.clear()

    def leave(self) -> None:
        """The connections are closed with the group."""


@contextmanager
def marking_the_end(program: PhaseProgram) -> Iterator[None]:
    """Of a backward pass that goes on to wait for the other ranks, which is "reduce"."""
    trained = [parameter for parameter in program.parameters() if parameter.requires_grad]
    with register_multi_grad_hook(trained, lambda gradients: program.mark("reduce")):
        yield
    program.mark("reduce")  # where some had no gradient


def without_buffer_sync() -> dict[str, Any]:
    """The engine reduces and commits buffers itself. Newer versions of torch have another name for it."""
    known = inspect.signature(DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers": False}
