"""State to bytes and back: nothing is lost, and what does not fit is named."""

import copy
import json
import pickle

import pytest
import torch

from gen_dist.checkpointing import OPTIMIZER, STATE, WEIGHTS
from gen_dist.errors import UserError
from tests.hostile_tensors import hostile_tensors
from tests.training_cases import case, engine_of, run_steps


@pytest.fixture
def trained(tiny_pack):
    engine = engine_of(case("dcgan"), tiny_pack)
    run_steps(engine, 2)
    return engine.state


def fresh(tiny_pack, *overrides):
    return engine_of(case("dcgan", overrides), tiny_pack).state


def test_round_trip_keeps_every_bit(trained, tiny_pack):
    files = trained.to_files({"note": 1})
    again = fresh(tiny_pack)
    again.load_files(files)
    assert again.step == 2
    assert again.hash() == trained.hash() == json.loads(files[STATE])["hash"]
    assert again.to_files({"note": 1}) == files


def flipped(value: torch.Tensor) -> torch.Tensor:
    """The float32 whose last bit differs."""
    return (value.reshape(1).view(torch.int32) ^ 1).view(torch.float32)[0]


@pytest.mark.parametrize("group", ["modules", "ema"])
def test_the_hash_sees_one_flipped_bit(trained, group):
    before = trained.hash()
    parameter = next(iter(getattr(trained, group)["generator"].parameters()))
    with torch.no_grad():
        parameter[0, 0, 0, 0] = flipped(parameter[0, 0, 0, 0])
    assert trained.hash() != before


def test_before_the_first_step_there_is_no_optimiser_state_and_that_loads_too(tiny_pack):
    state = fresh(tiny_pack)
    files = state.to_files({})
    again = fresh(tiny_pack, "seed=9")
    again.load_files(files)
    assert again.hash() == state.hash()


def test_weights_alone_start_a_new_run(trained, tiny_pack):
    state = fresh(tiny_pack, "seed=9")
    state.load_weights(trained.to_files({}))
    assert state.step == 0
    for name, module in state.modules.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, trained.modules[name].state_dict()[key])
    assert torch.equal(next(state.ema["generator"].parameters()), next(state.modules["generator"].parameters()))


class Exploit:
    def __reduce__(self):
        raise AssertionError("a pickle was loaded")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (WEIGHTS, b"rubbish", "weights.safetensors: missing or corrupt"),
        (WEIGHTS, None, "weights.safetensors: missing or corrupt"),
        (OPTIMIZER, pickle.dumps([1, 2]), "optimizer.safetensors: missing or corrupt"),
        *((WEIGHTS, content, "weights.safetensors: missing or corrupt") for content in hostile_tensors()),
        (STATE, b"{", "state.json: missing or corrupt"),
        (STATE, b"[]", "state.json: missing or corrupt"),
        (STATE, b'{"format": 99, "step": 3}', "state.json: format 99; this version reads format 1"),
    ],
)
def test_a_damaged_file_is_named(trained, tiny_pack, file, content, message):
    files = trained.to_files({})
    if content is None:
        del files[file]
    else:
        files[file] = content
    with pytest.raises(UserError, match=message):
        fresh(tiny_pack).load_files(files)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.generator_width=8", r"tensor 'generator\..*' has shape .* this model needs"),
        ("train.ema_decay=0", r"ema.safetensors: has an unknown tensor 'generator\."),
    ],
)
def test_another_models_tensors_are_refused_and_nothing_changes(trained, tiny_pack, override, message):
    state = fresh(tiny_pack, override)
    before = weights_hash(state)
    with pytest.raises(UserError, match=message):
        state.load_files(trained.to_files({}))
    assert state.step == 0
    assert state.tensors()[WEIGHTS].keys() == trained.tensors()[WEIGHTS].keys()
    assert weights_hash(state) == before


def weights_hash(state):
    return [value.sum().item() for value in state.tensors()[WEIGHTS].values()]


def test_ema_follows_weights_and_running_statistics(tiny_pack):
    engine = engine_of(case("dcgan"), tiny_pack)
    start = copy.deepcopy(engine.state.ema["generator"])
    run_steps(engine, 1)
    average, module = engine.state.ema["generator"], engine.state.modules["generator"]
    decay = min(0.9, 1 / 10)
    assert list(module.buffers())
    for a, b, s in zip(*([*one.parameters(), *one.buffers()] for one in (average, module, start)), strict=True):
        torch.testing.assert_close(a, decay * s + (1 - decay) * b)
