"""A peer that is gone in the middle of a message: who waits for it gives up when told to, long before gloo would."""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from gen_dist.engine.exchange import Exchange, Transfer
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.tree import plan
from tests import hosts as namespaces
from tests.hosts import Host, hosts

MEGABITS, ELEMENTS = 100, 16 << 20  # 64 MB: five seconds
LIMIT_SECONDS, UNDER_WAY_SECONDS, PATIENCE_SECONDS, PORT = 60.0, 2.0, 1.0, 29411
pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(namespaces.available() is not None, reason="needs network namespaces"),
]


def main() -> None:
    """A rank: sums a vector with the other one, and gives up when a line comes in; says how that went."""
    rank, address = int(sys.argv[1]), sys.argv[2]
    store = dist.TCPStore(address, PORT, is_master=rank == 0, wait_for_workers=False, timeout=timedelta(seconds=30))
    os.environ["GLOO_SOCKET_IFNAME"] = "eth0"
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=LIMIT_SECONDS))
    assert dist.group.WORLD is not None
    exchange = Exchange(dist.group.WORLD, LIMIT_SECONDS)

    def check() -> None:
        if select.select([sys.stdin], [], [], 0)[0]:
            raise RuntimeError("told to give up")

    transfer = Transfer(exchange, ELEMENTS, torch.float32, plan(Ownership.equal(2, 2)), 0, check, shared=False)
    transfer.send(torch.ones(ELEMENTS))
    print("sending", flush=True)
    try:
        transfer.sum()
        print("summed", flush=True)
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)  # with a message under way


def rank_on(host: Host, rank: int, address: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.faults.test_broken_messages", rank, address]
    return host.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.parametrize("fault", ["SIGKILL", "SIGSTOP", "cut"])
def test_who_waits_for_half_a_message_gives_up_when_told_to(fault):
    with hosts(2, MEGABITS) as (here, there), ExitStack() as stack:
        ranks = [stack.enter_context(rank_on(host, rank, here.address)) for rank, host in enumerate((here, there))]
        for rank in ranks:
            stack.callback(rank.kill)
        for rank in ranks:
            assert rank.stdout is not None
            assert rank.stdout.readline() == "sending\n"
        time.sleep(UNDER_WAY_SECONDS)
        assert 1 << 20 < here.traffic().received < 2 * ELEMENTS, "the message is not under way"
        there.cut() if fault == "cut" else ranks[1].send_signal(getattr(signal, fault))
        time.sleep(PATIENCE_SECONDS)
        assert ranks[0].poll() is None, "gloo has noticed by itself: nothing is tested"
        answer, _ = ranks[0].communicate("give up\n", timeout=10)
        assert answer == "told to give up\n"


if __name__ == "__main__":
    main()
