"""The `tree` reducer: all microbatches' gradients summed in one binary tree, whoever computed them.

So any number of workers gets the same bits, if every microbatch's gradient has the same bits everywhere.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gen_dist.engine.exchange import Exchange, Transfer
from gen_dist.engine.gradients import GradientStack, Layout, zeros
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.program import PhaseProgram
from gen_dist.engine.reducer import Work
from gen_dist.engine.tree import Add, additions, plan


class TreeReducer:
    """`group`: None for a single worker, which has nothing to exchange but sums in the same order."""

    def __init__(self, group: dist.ProcessGroup | None) -> None:
        self.exchange = Exchange(group) if group is not None else None
        self.rank = group.rank() if group is not None else 0
        self.allocate = self.exchange.allocate if self.exchange is not None else zeros
        self.stacks: dict[str, GradientStack] = {}

    def accumulate(
        self, program: PhaseProgram, work: Work, ownership: Ownership, extra: Tensor, batch_size: int
    ) -> Tensor:
        added = additions(ownership.microbatches, ownership.of(self.rank))
        numbers: list[Tensor] = []
        transfers: list[Transfer] = []

        def send(pieces: list[Tensor], number: int, shared: bool = True) -> None:
            if self.exchange is not None:
                transfers.append(Transfer(self.exchange, pieces, plan(ownership), number, shared))

        for add, (microbatch, draws) in zip(added, work, strict=True):
            loss, vector = program(microbatch, draws)
            numbers.append(torch.cat((vector, extra if add is added[0] else torch.zeros_like(extra))))
            for _ in range(add.merges):
                numbers[-2:] = [numbers[-2] + numbers[-1]]
            program.mark("backward")
            self.backward(program, loss / batch_size, add, send if add is added[-1] else None)
        program.mark("reduce")
        program.reduces()
        stack = self.stacks[program.phase.name]
        send(numbers, len(stack.layout.buckets), shared=False)
        for transfer in transfers:
            transfer.sum()
        for transfer in transfers:
            transfer.finish()
        stack.show(0)
        return numbers[0]

    def backward(
        self, program: PhaseProgram, loss: Tensor, add: Add, send: Callable[[list[Tensor], int], None] | None
    ) -> None:
        """A microbatch's gradient onto the stack. `send` comes with the last one: it gets the sums of each bucket (and
        its number) as soon as they are complete, while backward goes on."""
        stack = self.stacks.get(program.phase.name)

        def complete(number: int) -> None:
            assert stack is not None
            stack.take(add, number)
            if send is not None:
                send(stack.sums(add, number), number)

        if stack is None:  # the first microbatch shows which parameters get a gradient
            loss.backward()
            stack = GradientStack(Layout([p for p in program.parameters() if p.grad is not None]), self.allocate)
            self.stacks[program.phase.name] = stack
            for number in range(len(stack.layout.buckets)):
                complete(number)
            return
        stack.open(add)
        with each_bucket(stack.layout, complete):
            loss.backward()
        if any(p.grad is not None for p in program.parameters() if p not in stack.layout):
            raise RuntimeError(f"{program.phase.name} phase: a parameter got a gradient that had none before")

    def sum(self, numbers: Tensor) -> Tensor:
        if self.exchange is not None:
            dist.all_reduce(numbers, group=self.exchange.group)
        return numbers

    def reset(self) -> None:
        self.stacks.clear()
        if self.exchange is not None:
            self.exchange.memory.forget()


@contextmanager
def each_bucket(layout: Layout, complete: Callable[[int], None]) -> Iterator[None]:
    """Call `complete` with every bucket's number when backward has left the last of its gradients.

    Raises:
        RuntimeError: backward ended before that.
    """
    missing = [len(bucket.parameters) for bucket in layout.buckets]

    def hook(number: int) -> Callable[[nn.Parameter], None]:
        def arrived(parameter: nn.Parameter) -> None:
            missing[number] -= 1
            if not missing[number]:
                complete(number)

        return arrived

    handles = [
        layout.parameters[place].register_post_accumulate_grad_hook(hook(number))
        for number, bucket in enumerate(layout.buckets)
        for place in bucket.parameters
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if any(missing):
        raise RuntimeError(f"{sum(missing)} parameters got no gradient that had one before")
