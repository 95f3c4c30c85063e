"""What the supervisor says of failures, and whom it refuses. Without a cluster."""

from dataclasses import replace

import pytest
import torch.distributed as dist
from ray.exceptions import ActorDiedError

from gen_dist.cluster.failures import describe_death, explain, first_line
from gen_dist.cluster.membership import Identity
from gen_dist.cluster.placement import Node
from gen_dist.cluster.policy import Kind
from gen_dist.cluster.providing import label_hosts
from gen_dist.cluster.starting import check_identities
from gen_dist.engine.collectives import is_collective
from gen_dist.engine.hardware import Hardware, resolve_hardware
from gen_dist.errors import UserError
from gen_dist.presets import load_config
from gen_dist.source_hash import source_hash

PLAIN = Hardware("laptop", cuda=False, bf16_on_cpu=False, bf16_on_cuda=False)
FAST = Hardware("server", cuda=False, bf16_on_cpu=True, bf16_on_cuda=False)
GPU = Hardware("gpu", cuda=True, bf16_on_cpu=False, bf16_on_cuda=True)
MEMBER = Identity("laptop", source_hash(), PLAIN, "abc")


def test_other_source_and_other_data_are_refused_by_name():
    check_identities([MEMBER, MEMBER], "abc")
    with pytest.raises(UserError, match="gen-dist on old: other source than here"):
        check_identities([MEMBER, replace(MEMBER, host="old", source="0" * 64)], "abc")
    with pytest.raises(UserError, match="data on stale: other content than here"):
        check_identities([MEMBER, replace(MEMBER, host="stale", data_hash="xyz")], "abc")
    check_identities([MEMBER, replace(MEMBER, data_hash=None)], "abc")  # it is sent a copy


def test_hosts_of_one_name_are_told_apart():
    nodes = [
        Node("1", "vm", "10.0.0.1", 1, 0),
        Node("2", "vm", "10.0.0.2", 1, 0),
        Node("3", "laptop", "10.0.0.3", 1, 0),
    ]
    assert label_hosts(nodes) == {"1": "vm (10.0.0.1)", "2": "vm (10.0.0.2)", "3": "laptop"}


@pytest.mark.parametrize(
    ("error", "collective"),
    [
        (RuntimeError("[gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:1"), True),
        (dist.DistBackendError("NCCL error"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("gloo is a word"), False),
    ],
)
def test_a_broken_collective_is_told_from_other_errors(error, collective):
    assert is_collective(error) is collective


def test_deaths_are_told_in_a_line():
    assert "killed, crashed or out of memory" in describe_death(Exception("x connection error code 2. y"))
    born_dead = Exception(
        "The actor died because of an error raised in its creation task\n  File x\nImportError: no torch\n"
    )
    assert describe_death(born_dead) == "the process could not start: ImportError: no torch"
    assert first_line("\n\n  one \n two") == "one"
    assert first_line("") == "no message"
    dead = explain(ActorDiedError(), 1, "laptop", "step 3, vae phase, compute")
    assert (dead.kind, dead.place) == (Kind.DEATH, "step 3, vae phase")


@pytest.mark.parametrize(
    ("overrides", "group", "device", "precision", "reducer"),
    [
        ([], [PLAIN, FAST], "cpu", "fp32", "tree"),
        ([], [FAST, FAST], "cpu", "bf16", "tree"),
        ([], [GPU, FAST], "cpu", "fp32", "tree"),
        ([], [GPU, GPU], "cuda", "bf16", "ddp"),
        (["train.device=cpu", "train.reducer=ddp"], [GPU, GPU], "cpu", "fp32", "ddp"),
        (["train.precision=fp32"], [GPU], "cuda", "fp32", "ddp"),
    ],
)
def test_auto_is_what_all_have(overrides, group, device, precision, reducer):
    train = resolve_hardware(load_config("dcgan-64", overrides), group).train
    assert (train.device, train.precision, train.reducer) == (device, precision, reducer)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.precision=bf16", "train.precision 'bf16': no bf16 in hardware on laptop"),
        ("train.device=cuda", "train.device 'cuda': no CUDA GPU on laptop, server"),
    ],
)
def test_what_was_asked_for_by_name_must_be_there(override, message):
    with pytest.raises(UserError, match=message):
        resolve_hardware(load_config("dcgan-64", [override]), [PLAIN, FAST])
