"""What a group of workers promises, how it is proven, and what is said when it does not hold."""

import pytest
import torch

from gen_dist.engine.probe import probe_hash
from gen_dist.engine.replicas import compare_states, describe_difference, send_state
from gen_dist.engine.reproducibility import Probe, resolve_reproducibility, wants_probe
from gen_dist.errors import UserError
from tests.training_cases import CASES, case, engine_of

ALIKE = [Probe("laptop", "a"), Probe("server", "a"), Probe("server", "a")]
UNLIKE = [Probe("laptop", "a"), Probe("server", "b"), Probe("server", "b")]
TWO = [Probe("laptop", "a"), Probe("server", "b")]


def asked(reproducibility: str, *overrides: str):
    return case("dcgan", ["train.device=cpu", *overrides]).model_copy(
        update={"train": case("dcgan", overrides).train.model_copy(update={"reproducibility": reproducibility})}
    )


@pytest.mark.parametrize(
    ("reproducibility", "overrides", "probes", "expected", "line"),
    [
        ("auto", [], [], "bitwise", None),
        ("auto", [], ALIKE, "bitwise", None),
        ("bitwise", [], ALIKE, "bitwise", None),
        ("rounding", [], [], "rounding", None),
        ("auto", ["train.reducer=ddp"], [], "rounding", None),
        ("auto", [], UNLIKE, "rounding", "rank 0 on laptop computed other bits than rank 1 on server"),
        ("auto", [], TWO, "rounding", "rank 1 on server computed other bits than rank 0 on laptop"),
    ],
)
def test_what_is_promised(reproducibility, overrides, probes, expected, line):
    config, said = resolve_reproducibility(asked(reproducibility, *overrides), probes)
    assert config.train.reproducibility == expected
    assert (said is None) if line is None else (line in said)


def test_under_bitwise_the_one_that_differs_is_refused_by_name():
    with pytest.raises(UserError, match="'bitwise': rank 0 on laptop computed other bits than rank 1 on server"):
        resolve_reproducibility(asked("bitwise"), UNLIKE)


@pytest.mark.parametrize(
    ("config", "workers", "wanted"),
    [
        (asked("auto"), 2, True),
        (asked("bitwise"), 2, True),
        (asked("auto"), 1, False),
        (asked("rounding"), 2, False),
        (asked("auto", "train.reducer=ddp"), 2, False),
    ],
)
def test_who_is_asked_for_a_probe(config, workers, wanted):
    assert wants_probe(config, workers) == wanted


@pytest.mark.parametrize("name", CASES)
def test_a_probe_is_the_same_every_time(name):
    assert probe_hash(case(name), 3) == probe_hash(case(name), 3)


@pytest.mark.parametrize(
    "change",
    ["seed=9", "model.width=5", "model.dropout=0.1", "optimizer.beta1=0.3", "train.precision=bf16",
     "objective.likelihood=bernoulli", "train.microbatch_size=8"],
)  # fmt: skip
def test_a_probe_is_of_the_configurations_own_step(change):
    assert probe_hash(case("vae", [change]), 3) != probe_hash(case("vae"), 3)


def test_a_probe_notices_another_last_bit_of_one_product(monkeypatch):
    before = probe_hash(case("vae"), 3)
    linear = torch.nn.functional.linear
    monkeypatch.setattr(torch.nn.functional, "linear", lambda *a: linear(*a) * (1 + 2**-22))
    assert probe_hash(case("vae"), 3) != before


def digests(*values: str) -> bytes:
    return b"".join(value.encode() * 32 for value in values)


NAMES = ["ema.safetensors g.0.weight", "weights.safetensors d.0.weight"]


@pytest.mark.parametrize(
    ("hashes", "tensors", "message"),
    [
        ("aab", ["xy", "xy", "xz"], "rank 2 on h2 (first in tensor d.0.weight of weights.safetensors) holds another "
         "state than rank 0 on h0: "),
        ("baa", ["zy", "xy", "xy"], "rank 0 on h0 (first in tensor g.0.weight of ema.safetensors) holds another state "
         "than rank 1 on h1: "),
        ("ab", ["xy", "xz"], "rank 1 on h1 (first in tensor d.0.weight of weights.safetensors) holds another state "
         "than rank 0 on h0; without a majority, either may be the wrong one: "),
        ("aab", ["xy", "xy", "xy"], "rank 2 on h2 (first in the step count) holds"),
        ("abac", ["xy", "zy", "xy", "xz"], "rank 1 on h1 (first in tensor g.0.weight of ema.safetensors) and rank 3 "
         "on h3 (first in tensor d.0.weight of weights.safetensors) hold another state than rank 0 on h0; without a "),
        ("aab", ["", "", ""], "rank 2 on h2 (first in which tensors there are) holds"),
    ],
)  # fmt: skip
def test_who_differs_and_where(hashes, tensors, message):
    hosts = [f"h{rank}" for rank in range(len(hashes))]
    said = describe_difference(7, NAMES, [h.encode() for h in hashes], [digests(*t) for t in tensors], hosts)
    assert said.startswith(f"after step 7: {message}")
    assert "\n" not in said


def test_alone_there_is_nothing_to_compare_or_send(tiny_pack):
    state = engine_of(case("vae"), tiny_pack).state
    assert compare_states(state, None) == send_state(state, None) == state.hash()


def test_digests_name_every_tensor_and_the_hash_covers_the_step(tiny_pack):
    engine = engine_of(case("dcgan"), tiny_pack)
    engine.step()
    state = engine.state
    names = list(state.digests())
    assert names == sorted(names)
    assert len(names) == sum(len(tensors) for tensors in state.tensors().values())
    before = state.hash()
    state.step += 1
    assert state.hash() != before
