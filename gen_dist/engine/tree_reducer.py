"""The `tree` reducer: all microbatches' gradients summed in one binary tree, whoever computed them.

So any number of workers gets the same bits, if every microbatch's gradient has the same bits everywhere.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from gen_dist.engine.exchange import Exchange, Transfer
from gen_dist.engine.gradients import GradientStack, Layout, zeros
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.program import PhaseProgram
from gen_dist.engine.reducer import Work
from gen_dist.engine.tree import Add, additions, plan


class TreeReducer:
    """`group`: None for a single worker, which has nothing to exchange but sums in the same order. `limit_seconds`: as
    `Exchange`."""

    def __init__(self, group: dist.ProcessGroup | None, limit_seconds: float = math.inf) -> None:
        self.exchange = Exchange(group, limit_seconds) if group is not None else None
        self.rank = group.rank() if group is not None else 0
        self.allocate = self.exchange.allocate if self.exchange is not None else zeros
        self.stacks: dict[str, GradientStack] = {}
        self.under_way: tuple[GradientStack, Add, Callable[[Tensor], None]] | None = None

    def accumulate(
        self, program: PhaseProgram, work: Work, ownership: Ownership, extra: Tensor, batch_size: int
    ) -> Tensor:
        added = additions(ownership.microbatches, ownership.of(self.rank))
        numbers: list[Tensor] = []
        transfers = self.begin(program, ownership)
        for add, (microbatch, draws) in zip(added, work, strict=True):
            loss, vector = program(microbatch, draws)
            numbers.append(torch.cat((vector, extra if add is added[0] else torch.zeros_like(extra))))
            for _ in range(add.merges):
                numbers[-2:] = [numbers[-2] + numbers[-1]]
            program.mark("backward")
            if program.phase.name in self.stacks:
                self.backward(program, loss / batch_size, add, transfers)
            else:
                transfers = self.first_backward(program, loss / batch_size, add, ownership)
        program.mark("reduce")
        program.reduces()
        program.check()
        transfers += self.send_numbers(program, numbers, ownership, len(transfers))
        for transfer in transfers:
            transfer.sum()
        sums = [transfer.finish() for transfer in transfers]
        self.stacks[program.phase.name].show(0)
        return sums[-1].clone() if sums else numbers[0]

    def begin(self, program: PhaseProgram, ownership: Ownership) -> list[Transfer]:
        """One for each bucket, as far as they are known: what the others send arrives from now on."""
        stack = self.stacks.get(program.phase.name)
        if self.exchange is None or stack is None:
            return []
        order, dtype = plan(ownership), stack.layout.parameters[0].dtype
        spans = [bucket.span for bucket in stack.layout.buckets]
        return [
            Transfer(self.exchange, span.stop - span.start, dtype, order, number, program.check, shared=True)
            for number, span in enumerate(spans)
        ]

    def send_numbers(
        self, program: PhaseProgram, numbers: list[Tensor], ownership: Ownership, number: int
    ) -> list[Transfer]:
        if self.exchange is None:
            return []
        transfer = Transfer(self.exchange, len(numbers[0]), numbers[0].dtype, plan(ownership), number, program.check)
        for vector in numbers:
            transfer.send(vector)
        return [transfer]

    def backward(self, program: PhaseProgram, loss: Tensor, add: Add, transfers: Sequence[Transfer]) -> None:
        """A microbatch's gradient onto the stack. Where that completes a piece, each bucket of it is sent as soon as it
        is complete, while backward goes on."""
        stack = self.stacks[program.phase.name]
        stack.open(add)
        with each_bucket(stack.layout, lambda number: self.keep(stack, add, number, transfers)) as arrived:
            self.under_way = stack, add, arrived
            try:
                loss.backward()
            finally:
                self.under_way = None
        if any(p.grad is not None for p in program.parameters() if p not in stack.layout):
            raise RuntimeError(f"{program.phase.name} phase: a parameter got a gradient that had none before")

    def receive(self, weight: Tensor, gradient: Tensor) -> None:
        """Of a weight that was cast, for its float32 `grad`."""
        if self.under_way is None:
            weight.grad = gradient.to(weight.dtype)
            return
        stack, add, arrived = self.under_way
        stack.receive(add, weight, gradient)
        arrived(weight)

    def first_backward(self, program: PhaseProgram, loss: Tensor, add: Add, ownership: Ownership) -> list[Transfer]:
        """Of a phase's first microbatch, which shows which parameters get a gradient; returns the transfers."""
        loss.backward()
        stack = GradientStack(Layout([p for p in program.parameters() if p.grad is not None]), self.allocate)
        self.stacks[program.phase.name] = stack
        transfers = self.begin(program, ownership)
        for number in range(len(stack.layout.buckets)):
            self.keep(stack, add, number, transfers)
        return transfers

    def keep(self, stack: GradientStack, add: Add, number: int, transfers: Sequence[Transfer]) -> None:
        """What backward has left of one bucket; on its way, where that completes a piece."""
        stack.take(add, number)
        if transfers and add.settles is not None:
            transfers[number].send(stack.piece(add.settles, number))

    def sum(self, numbers: Tensor, check: Callable[[], None]) -> Tensor:
        if self.exchange is None:
            return numbers
        ranks = self.exchange.world_size
        order = plan(Ownership.equal(ranks, ranks))
        transfer = Transfer(self.exchange, numbers.numel(), numbers.dtype, order, 0, check)
        transfer.send(numbers.flatten())
        transfer.sum()
        result = transfer.finish().reshape(numbers.shape).clone()
        if numbers.numel() > 1:  # a rank may end now: not before the others have seen all it had for them
            self.sum(torch.zeros(1, dtype=torch.float64), check)
        return result

    def leave(self) -> None:
        if self.exchange is not None:
            self.exchange.mailbox.leave()

    def reset(self) -> None:
        self.stacks.clear()
        if self.exchange is not None:
            self.exchange.reset()


@contextmanager
def each_bucket(layout: Layout, complete: Callable[[int], None]) -> Iterator[Callable[[Tensor], None]]:
    """Call `complete` with every bucket's number when backward has left the last of its gradients. Of a parameter whose
    gradient it leaves elsewhere it must be told, by what this gives.

    Raises:
        RuntimeError: backward ended before that.
    """
    missing = [len(bucket.parameters) for bucket in layout.buckets]
    bucket_of = {place: number for number, bucket in enumerate(layout.buckets) for place in bucket.parameters}

    def arrived(parameter: Tensor) -> None:
        number = bucket_of[layout.places[id(parameter)]]
        missing[number] -= 1
        if not missing[number]:
            complete(number)

    handles = [parameter.register_post_accumulate_grad_hook(arrived) for parameter in layout.parameters]
    try:
        yield arrived
    finally:
        for handle in handles:
            handle.remove()
    if any(missing):
        raise RuntimeError(f"{sum(missing)} parameters got no gradient that had one before")
